"""Messages to people: the rules, the senders, and the links behind buttons."""
