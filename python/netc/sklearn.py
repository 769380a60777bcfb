"""A compiled net as a transformer of scikit-learn, for its pipelines."""

from __future__ import annotations

import os
from math import prod
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

import netc

__all__ = ["Embedder"]

_NO_INPUT = "E0216"
"""The code of a net that has no input."""


class Embedder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Features of photos or of arrays: the output of a net.

    Fitting compiles the net; it learns nothing.

    Parameters
    ----------
    model : str, path or Model, default "Flatten"
        An artifact (``"bird.netb"``), a spec (``"vgg16[..dropout-2]"``), a fragment of one without `Input`
        (``"Relu(64) >> Tanh"``), which gets an input of the features' number, or a loaded model. The default returns
        the features as they are.
    threads : int, optional
        The number of threads; by default as many as the process may use.
    batch : int, default 8
        The number of photos that are decoded and run at once.
    allow_untrained : bool, default False
        Whether parameters may come from no file: they are random, the same in each run.

    Attributes
    ----------
    model_ : Model
        The compiled net.
    n_features_in_ : int
        The number of features; absent for photos.
    feature_names_in_ : array of str, shape (n_features_in_,)
        Their names, if they all have one.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> birds = make_pipeline(Embedder("squeezenet.netb"), LogisticRegression())
    >>> birds.fit(["owl.jpg", "wren.jpg"], ["owl", "wren"])
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | netc.Model = "Flatten",
        *,
        threads: int | None = None,
        batch: int = 8,
        allow_untrained: bool = False,
    ) -> None:
        self.model = model
        self.threads = threads
        self.batch = batch
        self.allow_untrained = allow_untrained

    def fit(self, X: Any, y: Any = None) -> Embedder:
        """Compile the net, and check that it takes such samples.

        Parameters
        ----------
        X : array of numbers, shape (n, n_features) or (n, *sizes), or sequence of photos
            Photos as in `Model.classify`: paths, bytes of files, PIL images, arrays of uint8 (h, w, c).
        y : ignored

        Returns
        -------
        Embedder
            Itself.
        """
        if _are_photos(X):
            self.model_ = self._compiled(None)
            return self
        X = validate_data(self, X, dtype=np.float32, allow_nd=True)
        self.model_ = self._compiled(X.shape[1:])
        _input(self.model_, X)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Run the net.

        Parameters
        ----------
        X : array of numbers, shape (n, n_features) or (n, *sizes), or sequence of photos
            As in `fit`.

        Returns
        -------
        array of float32, shape (n, n_features_out)
            The values of its first output.
        """
        check_is_fitted(self)
        if _are_photos(X):
            rows = self.model_.embed(X, batch=self.batch)
        else:
            X = validate_data(self, X, dtype=np.float32, allow_nd=True, reset=False)
            rows = self.model_(_input(self.model_, X))
            if isinstance(rows, dict):
                rows = rows[self.model_.outputs[0].name]
        return rows.reshape(len(rows), self._n_features_out)

    def _compiled(self, sizes: tuple[int, ...] | None) -> netc.Model:
        if isinstance(self.model, netc.Model):
            return self.model
        if os.fspath(self.model).endswith(".netb"):
            return netc.load(self.model, threads=self.threads)
        options: dict[str, Any] = {"threads": self.threads, "allow_untrained": self.allow_untrained}
        try:
            return netc.build(self.model, **options)
        except netc.NetcError as error:
            if sizes is None or error.code != _NO_INPUT or os.path.isfile(self.model):
                raise
        return netc.build(f"Input({'x'.join(map(str, sizes))}) >> ({os.fspath(self.model)})", **options)

    @property
    def _n_features_out(self) -> int:
        return prod(size for size in self.model_.outputs[0].shape[1:] if size is not None)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def _are_photos(X: Any) -> bool:
    if isinstance(X, np.ndarray) and X.ndim != 1:
        return X.dtype == np.uint8 and X.ndim == 4
    # A list, or a column of a table, such as a Series of paths.
    if not isinstance(X, (list, tuple)) and getattr(X, "ndim", None) != 1:
        return False
    first = next(iter(X), None)
    is_pixels = isinstance(first, np.ndarray) and first.dtype == np.uint8 and first.ndim in (2, 3)
    return is_pixels or isinstance(first, (str, bytes, os.PathLike)) or hasattr(first, "getexif")


def _input(model: netc.Model, X: np.ndarray) -> np.ndarray:
    """Return samples in the shape of a net's input."""
    if len(model.inputs) != 1:
        raise ValueError(f"`{model.name}` has {len(model.inputs)} inputs, and an Embedder has one")
    sizes = tuple(size for size in model.inputs[0].shape[1:] if size is not None)
    if X.shape[1:] != sizes and prod(X.shape[1:]) != prod(sizes):
        shape = ", ".join(map(str, sizes))
        raise ValueError(f"`{model.name}` takes samples of shape ({shape}), but X has the shape {X.shape}")
    return X.reshape(len(X), *sizes)
