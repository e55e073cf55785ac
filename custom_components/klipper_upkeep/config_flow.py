"""The config flow: MQTT finds printers, the user types a base topic, sets options."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import voluptuous as vol
from homeassistant.components import mqtt
from homeassistant.config_entries import (
    SOURCE_MQTT,
    ConfigFlow,
    ConfigFlowResult,
    OptionsFlow,
)
from homeassistant.core import callback

from .children import possible
from .const import (
    CONF_BASE,
    CONF_CHILDREN,
    CONF_MARGIN,
    CONF_ONE_LIST,
    CONF_REPAIRS,
    CONF_SOON,
    DOMAIN,
    MARGIN,
)
from .contract import BASE, ContractError, Info, Topic
from .fleet import as_bytes
from .schema import schema

if TYPE_CHECKING:
    from homeassistant.helpers.service_info.mqtt import MqttServiceInfo

    from .fleet import UpkeepEntry

# Seconds in which a retained message must arrive: Home Assistant subscribes with a
# delay, and takes everybody's messages in turn.
LOOK_FOR = 10.0


class UpkeepConfigFlow(ConfigFlow, domain=DOMAIN):
    """Makes one config entry for each base topic."""

    VERSION = 1
    _base = BASE

    async def async_step_mqtt(
        self, discovery_info: MqttServiceInfo
    ) -> ConfigFlowResult:
        """Begin, since a printer's `info` has arrived over MQTT."""
        base = discovery_info.topic.rsplit("/", 2)[0]
        try:
            Topic.parse(base, discovery_info.topic)
            info = Info.decode(as_bytes(discovery_info.payload))
        except ContractError:
            return self.async_abort(reason="not_a_printer")
        await self._claim(base)
        self.context["title_placeholders"] = {"name": info.name}
        return await self.async_step_confirm()

    async def async_step_confirm(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Ask the user for the permission to set up this printer's base topic."""
        if user_input is not None:
            return self._create()
        self._set_confirm_only()
        return self.async_show_form(
            step_id="confirm",
            description_placeholders={
                "name": self.context["title_placeholders"]["name"]
            },
        )

    async def async_step_user(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Ask the user for the base topic."""
        return await self._ask("user", user_input, BASE)

    async def async_step_reconfigure(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Ask for the new base topic, since the printers publish below another one."""
        current = self._get_reconfigure_entry().data[CONF_BASE]
        return await self._ask("reconfigure", user_input, current)

    async def _ask(
        self, step: str, user_input: dict[str, Any] | None, default: str
    ) -> ConfigFlowResult:
        errors: dict[str, str] = {}
        if user_input is not None:
            default = user_input[CONF_BASE].strip().strip("/")
            errors = await self._errors(default)
            if not errors:
                return await self._accept(step, default)
        fields = {vol.Required(CONF_BASE, default=default): str}
        return self.async_show_form(
            step_id=step, data_schema=schema(fields), errors=errors
        )

    async def _accept(self, step: str, base: str) -> ConfigFlowResult:
        if step == "user":
            await self._claim(base)
            return self._create()
        entry = self._get_reconfigure_entry()
        if base != entry.data[CONF_BASE]:
            await self._claim(base)
        # The entry's update listener reloads it. A title from the user stays as it is.
        ours = entry.title == _title(entry.data[CONF_BASE])
        self.hass.config_entries.async_update_entry(
            entry,
            unique_id=base,
            title=_title(base) if ours else entry.title,
            data={CONF_BASE: base},
        )
        return self.async_abort(reason="reconfigure_successful")

    async def _errors(self, base: str) -> dict[str, str]:
        try:
            mqtt.valid_subscribe_topic(f"{base}/+/info")
            mqtt.valid_publish_topic(base)
        except vol.Invalid:
            return {CONF_BASE: "bad_topic"}
        if not await mqtt.async_wait_for_mqtt_client(self.hass):
            return {"base": "mqtt_not_connected"}
        if not await self._printer_there(base):
            return {CONF_BASE: "no_printer_there"}
        return {}

    async def _printer_there(self, base: str) -> bool:
        """Return whether a printer's `info` is retained below *base*.

        If there is none, the user has probably typed a wrong topic.
        """
        seen = asyncio.Event()

        @callback
        def received(message: mqtt.ReceiveMessage) -> None:
            seen.set()

        stop = await mqtt.async_subscribe(self.hass, f"{base}/+/info", received, qos=1)
        try:
            async with asyncio.timeout(LOOK_FOR):
                await seen.wait()
        except TimeoutError:
            return False
        finally:
            stop()
        return True

    async def _claim(self, base: str) -> None:
        self._base = base
        # The user may type a topic that discovery offers at the same time.
        is_on_offer = self.source == SOURCE_MQTT
        await self.async_set_unique_id(base, raise_on_progress=is_on_offer)
        self._abort_if_unique_id_configured()

    def _create(self) -> ConfigFlowResult:
        return self.async_create_entry(
            title=_title(self._base), data={CONF_BASE: self._base}
        )

    @staticmethod
    @callback
    def async_get_options_flow(config_entry: UpkeepEntry) -> OptionsFlow:
        """Return the flow behind the entry's Configure button."""
        return UpkeepOptionsFlow()


class UpkeepOptionsFlow(OptionsFlow):
    """Asks for the options: to-do lists, task devices, repairs for overdue tasks."""

    async def async_step_init(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Show the form with the options, and store what the user enters."""
        if user_input is not None:
            return self.async_create_entry(data=user_input)
        current = self.config_entry.options
        fields: dict[Any, Any] = {
            vol.Required(name, default=current.get(name, False)): bool
            for name in (
                CONF_ONE_LIST,
                CONF_SOON,
                *([CONF_CHILDREN] if possible() else []),
                CONF_REPAIRS,
            )
        }
        margin = vol.All(vol.Coerce(int), vol.Range(min=0, max=1000))
        default = current.get(CONF_MARGIN, MARGIN)
        fields[vol.Required(CONF_MARGIN, default=default)] = margin
        return self.async_show_form(step_id="init", data_schema=schema(fields))


def _title(base: str) -> str:
    return "Klipper Upkeep" if base == BASE else f"Klipper Upkeep ({base})"
