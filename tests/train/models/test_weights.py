"""A trained folder keeps what layers that training left alone tell of phrases, and no more."""

from bp_core.models.load import load
from tests.bp_core.models.test_suitability import suitability
from train.models.weights import write_folder_like


def test_what_untouched_layers_tell_is_kept(dialect_writer, tmp_path):
    suitability(load(dialect_writer).network.width).save(dialect_writer)
    model = load(dialect_writer, dtype="float32")
    for untouched, name in ((0, "changed"), (1, "kept")):
        tensors = model.network.tensors()
        write_folder_like(model, tensors, tmp_path / name, "float32", untouched)
    assert load(tmp_path / "changed").suitability is None
    assert load(tmp_path / "kept").suitability.depth == 1
