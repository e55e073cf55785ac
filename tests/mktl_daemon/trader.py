"""A daemon that adds and removes items when it is told to."""

import mktl_daemon


class Order(mktl_daemon.Item):
    """Set it to "+key" or "-key", or to several of these."""

    def perform_set(self, new_value):
        daemon = self.store.daemon
        words = new_value.split()
        with daemon.changing():
            daemon.remove_items([word[1:] for word in words if word[0] == "-"])
            described = {"type": "numeric", "initial": 0}
            fresh = {word[1:]: described for word in words if word[0] == "+"}
            daemon.add_items(fresh, Traded)


class Traded(mktl_daemon.Item):
    """Counts the SETs that this daemon carries out."""

    def perform_set(self, new_value):
        daemon = self.store.daemon
        count = self.store[f"{daemon.alias}.sets"]
        count.publish(count.value + 1)


class Daemon(mktl_daemon.Daemon):
    def setup(self):
        for name, item in (("order", Order), ("answers", mktl_daemon.Item)):
            described = {"type": "string"}
            self.add_item(item, f"{self.alias}.{name}", description=described)
        described = {"type": "numeric", "initial": 0}
        self.add_item(mktl_daemon.Item, f"{self.alias}.sets", description=described)

    def announced(self, accepted, reason):
        answers = self.store[f"{self.alias}.answers"]
        answers.publish(f"{answers.value or ''}{'+' if accepted else '-'}")
