"""The table of what is ever asked through TEDAPI: four reads, and the devices that they may be sent to.

A registered key can also control a Powerwall. Nothing outside this table can become a message, so nothing else is
ever signed or sent.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal


class Question(Enum):
    """A read. Its value is the label ``endpoint`` of the result."""

    CONFIG = "tedapi/config"
    SYSTEM = "tedapi/system"
    CONTROLLER = "tedapi/controller"
    COMPONENTS = "tedapi/components"


TIERS: Final[dict[Question, Literal["medium", "slow"]]] = {
    Question.CONFIG: "slow",
    Question.SYSTEM: "slow",
    Question.CONTROLLER: "medium",
    Question.COMPONENTS: "medium",
}
"""The tier of each: medium is asked once a minute, slow once in ten minutes."""

_DIN: Final = re.compile(r"[0-9]{7}-[0-9]{2}-[A-Z]--[A-Z0-9]{10,20}")


@dataclass(frozen=True, slots=True)
class Din:
    """The identity of a device: part number and serial. ValueError for a text of another form."""

    text: str

    def __post_init__(self) -> None:
        if not _DIN.fullmatch(self.text):
            raise ValueError("this is not a DIN, which looks like 1707000-21-K--TG1234567890AB")

    @property
    def serial(self) -> str:
        """The part after the two dashes."""
        return self.text.partition("--")[2]


_STRINGS: Final = "ABCDEF"

_PCH: Final = (
    "PCH_State",
    *(f"PCH_PvState_{string}" for string in _STRINGS),
    "PCH_AcFrequency",
    "PCH_AcVoltageAB",
    *(f"PCH_PvVoltage{string}" for string in _STRINGS),
    *(f"PCH_PvCurrent{string}" for string in _STRINGS),
    "PCH_BatteryPower",
    "PCH_AcRealPowerAB",
    "PCH_AcRealPowerSum",
    "PCH_SlowPvPowerSum",
    "PCH_AcMode",
    "PCH_AmbientTemp",
    "PCH_FanSpeed_A",
    "PCH_FanSpeed_B",
    "PCH_FanDuty_A",
    "PCH_FanDuty_B",
)
_PACK_ENERGY: Final = ("BMS_nominalEnergyRemaining", "BMS_nominalFullPackEnergy", "BMS_kwhDischargeTotal")

_VARIABLES: Final[dict[Question, dict[str, object]]] = {
    Question.COMPONENTS: {
        "pwsComponentsFilter": {"types": ["PW3SAF"]},
        "pwsSignalNames": ["PWS_SelfTest"],
        "pchComponentsFilter": {"types": ["PCH"]},
        "pchSignalNames": list(_PCH),
        "bmsComponentsFilter": {"types": ["PW3BMS"]},
        "bmsSignalNames": list(_PACK_ENERGY),
        "hvpComponentsFilter": {"types": ["PW3HVP"]},
        "hvpSignalNames": [
            "HVP_State",
            "HVP_appGitHash",
            "HVP_PackTempMax",
            "HVP_PackTempMin",
            "HVP_ShuntTemperature",
        ],
        "baggrComponentsFilter": {"types": ["BAGGR"]},
        "baggrSignalNames": [
            "BAGGR_NumBatteriesConnected",
            "BAGGR_NumBatteriesPresent",
            "BAGGR_NumBatteriesExpected",
        ],
    },
    Question.CONTROLLER: {
        "msaComp": {"types": ["PVS", "PVAC", "TESYNC", "TEPINV", "TETHC", "STSTSM", "TEMSA", "PW3BMS"]},
        "msaSignals": [
            *_PACK_ENERGY,
            "THC_AmbientTemp",
            "PINV_HeatsinkTemp",
            "PVAC_Fan_Speed_Actual_RPM",
            "SYNC_Uptime",
        ],
    },
}
"""The component types and signals that a query is about.

Tesla signs the text of a query, not its variables: a gateway answers added signal names and leaves unknown ones out,
but one unknown component type fails the whole query (26.18.1, pypowerwall's authors on hardware).
"""


def variables(question: Question) -> str:
    """The variables of a query as JSON text. KeyError for a question that is not a query."""
    return json.dumps(_VARIABLES[question], separators=(",", ":"))
