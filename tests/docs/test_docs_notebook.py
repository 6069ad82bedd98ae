"""The notebook runs from its first cell to its last, and shows the photo before and after."""

import nbformat
import pytest
from engines import ROOT
from nbclient import NotebookClient

NOTEBOOK = ROOT / "docs" / "quickstart.ipynb"


@pytest.mark.engines
def test_the_notebook_runs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "clear the outputs before committing"
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": NOTEBOOK.parent}}).execute()
    outputs = {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}
    for cell in ("photo", "mask", "result", "compare"):
        assert "image/png" in outputs[cell][-1].data
    assert outputs["check"][0].text == "changed outside the hole: 0 pixels\n"
