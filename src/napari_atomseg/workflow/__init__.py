"""Workflows: the steps from an image to its measurements as data, to be kept and repeated.

`Workflow.load` reads one, `run` applies it to an image, `run_files` to files, with one table of
results. `history_of` finds the workflow of a result by its record. `as_python` and `as_commands`
write it for other hands.
"""

from napari_atomseg.workflow.actions import ACTIONS, Action
from napari_atomseg.workflow.batch import run_files
from napari_atomseg.workflow.films import join_frames
from napari_atomseg.workflow.images import ImageArray, ImageFile, files_in, frames, frames_of
from napari_atomseg.workflow.records import History, described_file, history_of, workflow_of
from napari_atomseg.workflow.run import Results, run
from napari_atomseg.workflow.saved import FileResult, summary_of
from napari_atomseg.workflow.steps import IMAGE, Step, Workflow, WorkflowError
from napari_atomseg.workflow.words import as_commands, as_python, in_words

__all__ = [
    "ACTIONS",
    "IMAGE",
    "Action",
    "FileResult",
    "History",
    "ImageArray",
    "ImageFile",
    "Results",
    "Step",
    "Workflow",
    "WorkflowError",
    "as_commands",
    "as_python",
    "described_file",
    "files_in",
    "frames",
    "frames_of",
    "history_of",
    "in_words",
    "join_frames",
    "run",
    "run_files",
    "summary_of",
    "workflow_of",
]
