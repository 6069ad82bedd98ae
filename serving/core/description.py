"""Find the description of an ONNX graph: in a YAML file beside it, in its metadata, or among the ready descriptions.

`serving/core/graphs/*.yaml` are the ready descriptions. One of them is chosen by `graph: NAME` in a YAML file, or
automatically if it is the only one that the graph's inputs and outputs agree with.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from serving.core.binding import Binding, Mismatch, Node, bind
from serving.core.description_yaml import parse_description
from serving.core.errors import ModelFileError
from serving.core.graph import CONTRACT, MASK_CONVENTION, Description, MetadataKey

_READY = Path(__file__).with_name("graphs")
_SUFFIX = ".yaml"


def description_file(model: Path) -> Path:
    """Return the path of the YAML file that may describe a model file: the same name, with `.yaml`."""
    return model.with_suffix(_SUFFIX)


def find_binding(
    model: Path, metadata: Mapping[str, str], inputs: Sequence[Node], outputs: Sequence[Node]
) -> Binding:
    """Find the description of a graph, and bind it to the graph's inputs and outputs.

    Args:
        model: the ONNX file.
        metadata: its metadata.
        inputs: the graph's inputs.
        outputs: the graph's outputs.

    Raises:
        ModelFileError: the description is invalid or the graph disagrees with it, or no description fits the graph.
    """
    stated = _stated(model, metadata)
    found = f"{_listed('inputs', inputs)}; {_listed('outputs', outputs)}"
    if stated is not None:
        description, where = stated
        try:
            return bind(description, inputs, outputs)
        except Mismatch as mismatch:
            raise ModelFileError(f"{model} does not agree with {where}: {mismatch}. {found}.") from mismatch
    bindings: dict[str, Binding] = {}
    problems = []
    for description in ready_descriptions().values():
        try:
            bindings[description.name] = bind(description, inputs, outputs)
        except Mismatch as mismatch:
            problems.append(f"{description.name}: {mismatch}")
    if len(bindings) == 1:
        return next(iter(bindings.values()))
    advice = f"Describe the graph in {description_file(model).name} beside it (docs/models.md)"
    if bindings:
        names = ", ".join(bindings)
        raise ModelFileError(
            f"{model} fits more than one description: {names}. {found}. {advice}, for example with `graph: "
            f"{next(iter(bindings))}`."
        )
    raise ModelFileError(
        f"{model} is not a known inpainting model. {found}. Known descriptions: {'; '.join(problems)}. "
        f"{advice}."
    )


@cache
def ready_descriptions() -> Mapping[str, Description]:
    """Return the graph contract and the ready descriptions by name."""
    ready = {CONTRACT.name: CONTRACT}
    for file in sorted(_READY.glob(f"*{_SUFFIX}")):
        ready[file.stem] = parse_description(file.read_text(encoding="utf-8"), str(file), file.stem, {})
    return ready


def _stated(model: Path, metadata: Mapping[str, str]) -> tuple[Description, str] | None:
    """Return the description that comes with a model, and where it is; None if there is none."""
    file = description_file(model)
    if file.is_file():
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ModelFileError(f"{file} cannot be read: {error}.") from error
        return parse_description(text, str(file), file.name, ready_descriptions()), str(file)
    if (text_inside := metadata.get(MetadataKey.GRAPH)) is not None:
        where = f"the metadata '{MetadataKey.GRAPH}' of {model}"
        return parse_description(text_inside, where, "its metadata", ready_descriptions()), where
    if metadata.get(MetadataKey.MASK_CONVENTION) == MASK_CONVENTION:
        # It follows the contract, perhaps at a fixed size.
        return replace(CONTRACT, size=None), f"its metadata '{MetadataKey.MASK_CONVENTION}'"
    return None


def _listed(kind: str, nodes: Sequence[Node]) -> str:
    def one(node: Node) -> str:
        shape = ",".join(str(dimension) if dimension is not None else "?" for dimension in node.shape)
        return f"'{node.name}' {node.type.removeprefix('tensor(').removesuffix(')')} [{shape}]"

    return f"Its {kind} are {', '.join(map(one, nodes)) or 'none'}"
