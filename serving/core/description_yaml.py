"""Descriptions of graphs in YAML. docs/models.md is the reference."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar, get_args

import yaml

from serving.core.errors import ModelFileError
from serving.core.graph import (
    ChannelOrder,
    Description,
    ImageFacts,
    MaskFacts,
    OutputFacts,
    StatedDType,
    TensorFacts,
)

_KEYS = ("image", "mask", "output", "size", "multiple_of", "min_size")
_GREATEST = 1e6  # limit of pixel values
_Facts = TypeVar("_Facts", bound=TensorFacts)


def parse_description(text: str, where: str, name: str, ready: Mapping[str, Description]) -> Description:
    """Read a description from YAML.

    Args:
        text: the YAML.
        where: the file or metadata it is from, for messages.
        name: the description's name.
        ready: descriptions that `graph: NAME` may start from.

    Raises:
        ModelFileError: it is not valid YAML, or not a description.
    """
    try:
        facts = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ModelFileError(f"{where} is not valid YAML: {' '.join(str(error).split())}.") from error
    return _Reader(where).description(facts, name, ready)


class _Reader:
    """Turns the mappings of a YAML file into a description. Every error names the file and the key."""

    def __init__(self, where: str) -> None:
        self._where = where

    def description(self, facts: Any, name: str, ready: Mapping[str, Description]) -> Description:
        facts = self._mapping("the file", facts, ("graph", *_KEYS))
        base = self._base(facts, ready)
        mask = self._mask(facts.get("mask", {}), base.mask if base else None)
        shape: dict[str, Any] = {
            key: self._integer(key, facts[key]) for key in ("multiple_of", "min_size") if key in facts
        }
        if "size" in facts:
            shape["size"] = "fixed" if facts["size"] == "fixed" else self._integer("size", facts["size"])
        image = self._tensor("image", facts.get("image", {}), base.image if base else ImageFacts())
        output = self._tensor("output", facts.get("output", {}), base.output if base else OutputFacts())
        if base is None:
            return Description(name=name, image=image, mask=mask, output=output, **shape)
        return replace(base, name=name, image=image, mask=mask, output=output, **shape)

    def _base(self, facts: dict[str, Any], ready: Mapping[str, Description]) -> Description | None:
        if "graph" not in facts:
            return None
        if facts["graph"] not in ready:
            raise self._error("graph", facts["graph"], f"one of {', '.join(ready)}")
        return ready[facts["graph"]]

    def _mask(self, facts: Any, base: MaskFacts | None) -> MaskFacts:
        facts = dict(self._mapping("mask", facts, ("name", "dtype", "hole", "known")))
        values = {
            key: self._number(f"mask.{key}", facts.pop(key)) for key in ("hole", "known") if key in facts
        }
        if base is None or "hole" in values:
            if "hole" not in values:
                raise self._error("mask.hole", None, "the value of a pixel to fill, such as 1")
            start = MaskFacts(hole=values["hole"]) if base is None else base
            base = replace(start, hole=values["hole"], known=values.get("known"))
        elif "known" in values:
            base = replace(base, known=values["known"])
        if base.known == base.hole:
            raise self._error("mask.known", base.known, "the value of a known pixel, other than mask.hole")
        return self._tensor("mask", facts, base)

    def _tensor(self, tensor: str, facts: Any, base: _Facts) -> _Facts:
        allowed = {"image": ("range", "order"), "mask": (), "output": ("range", "order", "composited")}[
            tensor
        ]
        facts = self._mapping(tensor, facts, ("name", "dtype", *allowed))
        changes: dict[str, Any] = {}
        for key, value in facts.items():
            where = f"{tensor}.{key}"
            match key:
                case "name":
                    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
                        raise self._error(where, value, "a name, or a position from 0")
                    changes[key] = value
                case "dtype":
                    changes[key] = self._one_of(where, value, get_args(StatedDType))
                case "order":
                    changes[key] = self._one_of(where, value, get_args(ChannelOrder))
                case "composited":
                    changes[key] = self._one_of(where, value, (True, False))
                case "range":
                    changes[key] = self._range(where, value)
        return replace(base, **changes)

    def _range(self, where: str, value: Any) -> tuple[float, float]:
        if not isinstance(value, list) or len(value) != 2 or value[0] == value[1]:
            raise self._error(where, value, "the values of black and white, such as [0, 1]")
        return self._number(where, value[0]), self._number(where, value[1])

    def _integer(self, where: str, value: Any) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
            return value
        expected = "an integer of at least 1" + (", or `fixed`" if where == "size" else "")
        raise self._error(where, value, expected)

    def _one_of(self, where: str, value: Any, allowed: tuple[Any, ...]) -> Any:
        if any(value is one or (isinstance(value, str) and value == one) for one in allowed):
            return value
        raise self._error(where, value, f"one of {', '.join(map(str, allowed))}")

    def _mapping(self, where: str, value: Any, allowed: tuple[str, ...]) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self._error(where, value, f"a mapping with some of the keys {', '.join(allowed)}")
        for key in value:
            if key not in allowed:
                raise self._error(where, key, f"one of the keys {', '.join(allowed)}")
        return value

    def _number(self, where: str, value: Any) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _GREATEST:
            return float(value)
        raise self._error(where, value, "a number")

    def _error(self, where: str, value: object, expected: str) -> ModelFileError:
        return ModelFileError(f"{self._where}: {where} is {value!r:.80}; it must be {expected}.")
