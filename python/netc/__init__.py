"""A compiler for neural networks written as text.

>>> import netc
>>> model = netc.build("squeezenet1_1.net")
>>> model.classify("chelsea.png", top=1)
[Prediction(label='tiger cat', score=0.45...)]
>>> for epoch in netc.train("clothing.net"):
...     print(epoch.epoch, epoch.validation_loss)

A *spec* is a file (``"bird.net"``), the name of a shipped net (``"vgg16"``), or text in the language of specs. Errors are
`NetcError`, with the code, the place and the likely fix of each.
"""

from netc._diagnostics import Diagnostic, Fix, Label, NetcError, NetcWarning
from netc._netc import Model, Training, __version__, build, check, load, show, train, verify
from netc._values import Deviation, Drawing, Epoch, Prediction, Preprocessing, TensorInfo, TrainingResult

__all__ = [
    "Deviation",
    "Diagnostic",
    "Drawing",
    "Epoch",
    "Fix",
    "Label",
    "Model",
    "NetcError",
    "NetcWarning",
    "Prediction",
    "Preprocessing",
    "TensorInfo",
    "Training",
    "TrainingResult",
    "__version__",
    "build",
    "check",
    "load",
    "show",
    "train",
    "verify",
]
