"""The transformer for scikit-learn, with scikit-learn's own checks."""

import numpy as np
import pytest

import netc
from conftest import CLOTHING, SPECS

sklearn = pytest.importorskip("sklearn")
from sklearn.base import clone  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.utils.estimator_checks import parametrize_with_checks  # noqa: E402

from netc.sklearn import Embedder  # noqa: E402

# None of the checks is expected to fail.
@parametrize_with_checks([Embedder(), Embedder("Relu(16) >> Tanh(4)", allow_untrained=True, threads=1)])
def test_checks_of_scikit_learn(estimator, check):
    check(estimator)


def test_photos_in_a_pipeline(tmp_path):
    photos = sorted(CLOTHING.glob("train/*/*"))
    kinds = [photo.parent.name for photo in photos]
    weights = {"squeezenet1_1": SPECS / "samples" / "squeezenet1_1.hdf5"}
    features = tmp_path / "features.netb"
    netc.build("squeezenet1_1[..conv10] >> GlobalPool(avg)", weights=weights, out=features)
    pipeline = make_pipeline(Embedder(features, batch=16), LogisticRegression(max_iter=1000))
    pipeline.fit([str(photo) for photo in photos], kinds)
    assert pipeline.score(photos, kinds) > 0.9
    found = pipeline[0].transform(photos[:3])
    assert found.shape == (3, 512) and found.dtype == np.float32
    assert np.allclose(found, netc.load(features).embed(photos[:3]), rtol=1e-4, atol=1e-5)
    assert list(pipeline[0].get_feature_names_out())[:2] == ["embedder0", "embedder1"]


def test_a_column_of_a_table_has_photos(model):
    pandas = pytest.importorskip("pandas")
    photos = pandas.Series([str(photo) for photo in sorted(CLOTHING.glob("train/*/*"))[:3]])
    embedder = Embedder(model).fit(photos)
    assert embedder.set_output(transform="pandas").transform(photos).shape == (3, 1000)


def test_images_as_arrays(model, images):
    embedder = Embedder(model).fit(images)
    assert np.array_equal(embedder.transform(images), model(images))
    assert clone(embedder).model is model
    with pytest.raises(ValueError, match=r"takes samples of shape \(227, 227, 3\)"):
        Embedder(model).fit(images[:, :100])
