"""Values without behaviour, which the functions return."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple


@dataclass(frozen=True)
class Preprocessing:
    """How a photo becomes the values of an input: resize, crop, order of channels, then ``(x * scale - mean) / std``.

    Attributes
    ----------
    resize : int or None
        The length in pixels of the shorter side; None resizes both sides to those of the input.
    crop : {"center", "center_even"}
        Where the crop begins: see ``Image(…)`` in the language.
    order : {"rgb", "bgr"}
        The order of the channels.
    scale : float
        The factor of pixels from 0 to 255.
    mean, std : tuple of three floats
        In the order of the channels.
    text : str
        The same in the language of specs.
    """

    resize: int | None
    crop: str
    order: str
    scale: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of a net.

    Attributes
    ----------
    name : str
        The name of its layer.
    shape : tuple
        The sizes; the first one, that of the batch, is None.
    dtype : str
        ``"float32"``.
    preprocessing : Preprocessing or None
        How a photo becomes an input.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    preprocessing: Preprocessing | None = None


class Prediction(NamedTuple):
    """A class of a photo."""

    label: str
    """Its name, or its number as text."""
    score: float
    """Its probability; for a net that ends in plain numbers, its number."""


class Deviation(NamedTuple):
    """How far an output of a compiled net is from the reference."""

    output: str
    """Its name."""
    error: float
    """The maximum difference, relative to the range of the reference."""
    same_top5: bool
    """Whether the five largest values of each image are the same, in the same order."""


@dataclass(frozen=True)
class Drawing:
    """The layers of a net, as a table, as a picture and as dicts.

    Attributes
    ----------
    text : str
        A table.
    svg : str
        A picture.
    net : dict
        ``{"net", "summary", "outputs", "layers": [{"index", "name", "kind", "settings", "output", "parameters", "macs", "inputs",
        "frozen"}]}``
    """

    text: str = field(repr=False)
    svg: str = field(repr=False)
    net: dict[str, Any]

    @property
    def layers(self) -> list[dict[str, Any]]:
        """The layers, in order."""
        layers: list[dict[str, Any]] = self.net["layers"]
        return layers

    def __str__(self) -> str:
        return self.text

    def _repr_svg_(self) -> str:
        return self.svg


@dataclass(frozen=True)
class Epoch:
    """One pass over the training data.

    Attributes
    ----------
    epoch : int
        From 1.
    seconds : float
        Its time.
    loss : float
        The mean over the samples, without the regularizer's penalty; with several outputs the sum of their losses.
    penalty : float
        The mean penalty of the regularizer.
    step : float
        The learning rate after the last update.
    metrics : dict of str to float
        On the training data.
    validation_loss : float or None
        None without validation data.
    validation : dict of str to float
        Metrics on the validation data.
    losses, validation_losses : dict of str to float
        With several outputs the loss of each.
    """

    epoch: int
    seconds: float
    loss: float
    penalty: float
    step: float
    metrics: dict[str, float] = field(default_factory=dict)
    validation_loss: float | None = None
    validation: dict[str, float] = field(default_factory=dict)
    losses: dict[str, float] = field(default_factory=dict)
    validation_losses: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingResult:
    """What a training run has written.

    Attributes
    ----------
    weights : pathlib.Path
        The trained weights, ``NAME.h5``.
    artifact : pathlib.Path
        The trained net, ``NAME.netb``, for `netc.load`.
    folder : pathlib.Path
        The run: ``run.yaml``, ``curves.svg``, ``report.html``, checkpoints.
    best : int or None
        The number of the epoch whose parameters were kept.
    metrics : dict of str to float
        Those of the kept parameters, on the validation data, or without validation on the training data.
    stopped : str or None
        Why the run ended.
    """

    weights: Path
    artifact: Path
    folder: Path
    best: int | None
    metrics: dict[str, float]
    stopped: str | None
