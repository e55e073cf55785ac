"""Home Assistant's devices for printers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from homeassistant.core import Event, HomeAssistant, callback
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.device_registry import DeviceEntryType, DeviceInfo

from .const import DOMAIN
from .fleet import Printer, UpkeepEntry


def device_info(printer: Printer) -> DeviceInfo:
    """Return the integration's own device of a printer.

    It is the printer itself if MQTT discovery makes no device for the printer.
    Otherwise it is a service beside that device.
    """
    info = printer.introduced
    if printer.owned:
        return DeviceInfo(
            identifiers={(DOMAIN, info.uuid)},
            name=printer.name,
            manufacturer=info.software,
            model=info.model or None,
            sw_version=info.version or None,
            configuration_url=_web_page(info.url),
            suggested_area=info.area or None,
            entry_type=None,
        )
    return DeviceInfo(
        identifiers={(DOMAIN, info.uuid)},
        translation_key="maintenance",
        translation_placeholders={"printer": printer.name},
        manufacturer=info.software,
        model=info.model or None,
        sw_version=info.version or None,
        suggested_area=info.area or None,
        entry_type=DeviceEntryType.SERVICE,
    )


def _web_page(url: str) -> str | None:
    """Return *url* if it is a web page; Home Assistant refuses other addresses."""
    return url if url.startswith(("http://", "https://")) else None


class Devices:
    """Updates an entry's devices when the printers publish new descriptions.

    Each device is linked to the one of MQTT discovery, which may be made later.
    """

    def __init__(self, hass: HomeAssistant, entry: UpkeepEntry) -> None:
        self.hass = hass
        self.entry = entry
        self._described: dict[str, DeviceInfo] = {}

    @callback
    def changed(self, printer: Printer) -> None:
        """Update the device if the printer's name, model or version has changed."""
        uuid = printer.introduced.uuid
        info = device_info(printer)
        device = with_identifier(self.hass, (DOMAIN, uuid))
        if device is None:
            return  # the printer's first entity will make the device
        if self._described.get(uuid) != info:
            self._described[uuid] = info
            dr.async_get(self.hass).async_get_or_create(
                config_entry_id=self.entry.entry_id, **info
            )
        theirs = with_identifier(self.hass, mqtt_identifier(uuid))
        above = None if theirs is None else theirs.id
        if device.via_device_id != above:
            dr.async_get(self.hass).async_update_device(device.id, via_device_id=above)

    @callback
    def listen(self) -> Callable[[], None]:
        """Link a printer's device to MQTT's when that is made; return how to stop."""

        @callback
        def updated(event: Event[Any]) -> None:
            if event.data["action"] != "create":
                return
            device = dr.async_get(self.hass).async_get(event.data["device_id"])
            for printer in self.entry.runtime_data.printers.values():
                if printer.ready and device is not None:
                    uuid = printer.introduced.uuid
                    ours = {mqtt_identifier(uuid), (DOMAIN, uuid)}
                    if ours & device.identifiers:
                        self.changed(printer)

        return self.hass.bus.async_listen(dr.EVENT_DEVICE_REGISTRY_UPDATED, updated)


def mqtt_identifier(uuid: str) -> tuple[str, str]:
    """Return the identifier of the device that MQTT discovery makes for a printer."""
    return ("mqtt", f"{DOMAIN}_{uuid}")


@callback
def with_identifier(
    hass: HomeAssistant, identifier: tuple[str, str]
) -> dr.DeviceEntry | None:
    """Return the device that has *identifier*, a pair of a domain and a name.

    The two supported versions have different functions for this look-up, and the
    newer version logs that the older function is deprecated.
    """
    registry = dr.async_get(hass)
    for entry in hass.config_entries.async_entries(identifier[0]):
        for device in dr.async_entries_for_config_entry(registry, entry.entry_id):
            if identifier in device.identifiers:
                return device
    return None
