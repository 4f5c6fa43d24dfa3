"""One model at a time, loaded without being harmed by the host, forgotten when asked."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch

from a1111_extension import engine as engine_module
from a1111_extension.engine import Engine, checked_name
from bp_core import Rewriter
from bp_core.decode.cpu import engine as cpu_engine
from bp_core.errors import ModelError


def rewriter(device="cpu"):
    return SimpleNamespace(
        model=SimpleNamespace(network=torch.nn.Linear(1, 1, device=device)), reward=None
    )


@pytest.fixture
def loads(monkeypatch):
    """What loading gives, in turn; the last one for ever."""
    queue, seen = [rewriter()], []

    def load(model, **options):
        seen.append((model, options["dtype"]))
        found = queue.pop(0) if len(queue) > 1 else queue[0]
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr("bp_core.Rewriter", SimpleNamespace(load=load))
    return SimpleNamespace(queue=queue, seen=seen)


def test_a_model_stays_in_memory(host, loads):
    engine = Engine(host)
    for _ in range(3):
        with engine.use("", "auto", exclusive=True):
            pass
    assert loads.seen == [("starter", None)]


def test_another_model_takes_its_place(host, loads):
    engine = Engine(host)
    for name in ("", "other", ""):
        with engine.use(name, "always CPU", exclusive=True):
            pass
    assert [model for model, _ in loads.seen] == ["starter", "other", "starter"]


@pytest.mark.parametrize("fails", [False, True])
def test_unload_after_use(host, loads, fails):
    engine = Engine(host)
    try:
        with engine.use("", "unload after use", exclusive=True):
            assert engine._rewriter is not None
            if fails:
                raise ValueError
    except ValueError:
        pass
    assert engine._rewriter is None


def test_a_network_made_while_torch_was_patched_is_made_again(host, loads):
    host.busy = True
    loads.queue[:] = [rewriter("meta"), rewriter()]
    with Engine(host).use("", "always CPU", exclusive=False) as used:
        assert not used.model.network.weight.is_meta
    assert len(loads.seen) == 2 and not host.busy, "it waited for the queue"


@pytest.mark.parametrize("layer", ["Linear", "LayerNorm"])
def test_layers_of_the_hosts_own_change_nothing(host, monkeypatch, layer):
    """The Forges put classes of their own in place of torch's while they load a checkpoint."""
    made = []

    pack = cpu_engine.pack

    def packed(*args):
        with monkeypatch.context() as patch:
            if host.busy:
                patch.setattr(torch.nn, layer, type(layer, (getattr(torch.nn, layer),), {}))
            return pack(*args)

    def load(model, **options):
        made.append(Rewriter.load(model, **options))
        return made[-1]

    monkeypatch.setattr(cpu_engine, "pack", packed)
    monkeypatch.setattr("bp_core.Rewriter", SimpleNamespace(load=load))
    host.busy = True
    with Engine(host).use("", "auto", exclusive=False) as used:
        assert used("a cat", n=2, seed=1).candidates
    assert len(made) == 1


def test_whatever_loading_raised_while_the_host_was_busy_is_tried_again(host, loads):
    host.busy = True
    loads.queue[:] = [TypeError("half patched"), rewriter()]
    with Engine(host).use("", "always CPU", exclusive=False):
        pass
    assert len(loads.seen) == 2


def test_a_hook_never_waits_for_a_caller_that_waits_for_the_queue(host, loads, monkeypatch):
    """The hook's job holds the queue; a click that loads a model meanwhile waits for it."""
    queue, waiting = threading.Lock(), threading.Event()

    @contextmanager
    def quiet(wait):
        if wait:
            waiting.set()
        free = queue.acquire(blocking=wait)
        try:
            yield free
        finally:
            if free:
                queue.release()

    def click():
        with engine.use("", "always CPU", exclusive=False) as used:
            texts.append(used)

    monkeypatch.setattr(host, "quiet", quiet)
    engine, texts = Engine(host), []
    loads.queue[:] = [rewriter("meta"), rewriter()]
    with queue:
        thread = threading.Thread(target=click, daemon=True)
        thread.start()
        assert waiting.wait(10)
        hook = threading.Thread(target=lambda: _use(engine), daemon=True)
        hook.start()
        hook.join(10)
        assert not hook.is_alive()
    thread.join(10)
    assert len(texts) == 1 and not texts[0].model.network.weight.is_meta


def _use(engine):
    with engine.use("", "always CPU", exclusive=True):
        pass


def test_cycles_are_collected_only_while_the_host_does_nothing(host, loads, monkeypatch):
    """The host's own cycles would end in our thread, in the middle of its work."""
    collected = []
    monkeypatch.setattr(gc, "collect", lambda: collected.append(host.busy))
    for exclusive, host.busy in ((False, False), (False, True), (True, True)):
        with Engine(host).use("", "unload after use", exclusive=exclusive):
            pass
    assert collected == [False, True]


def test_the_network_ends_with_its_last_user(host):
    """Without waiting for a collection of cycles."""
    engine = Engine(host)
    gc.disable()
    try:
        host.busy = True
        with engine.use("", "unload after use", exclusive=False) as used:
            used("a cat", n=1, seed=1)
            ended = weakref.ref(used.model.network)
        del used
        assert ended() is None
    finally:
        gc.enable()


def test_a_damaged_model_is_reported_and_the_next_call_works(host, loads):
    engine = Engine(host)
    loads.queue[:] = [ModelError("truncated"), rewriter()]
    with pytest.raises(ModelError), engine.use("", "always CPU", exclusive=True):
        pass
    with engine.use("", "always CPU", exclusive=True):
        pass


def test_callers_take_turns(host, loads):
    engine, inside, most = Engine(host), [], []

    def use():
        with engine.use("", "always CPU", exclusive=True):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.005)
            inside.pop()

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(most) == {1} and len(most) == 8


class Elsewhere(torch.nn.Linear):
    """Remembers where it was sent, which must not happen beside the host's own work."""

    def __init__(self, host):
        super().__init__(1, 1)
        self.host, self.sent = host, []

    def to(self, device):
        assert self.host.held
        self.sent.append(str(device))
        return self


@pytest.mark.parametrize(
    ("policy", "size", "busy", "sent"),
    [
        ("auto", 2**30, False, ["cuda", "cpu"]),
        ("auto", 2**30, True, []),
        ("auto", 2**20, False, []),
        ("always CPU", 2**30, False, []),
        ("unload after use", 2**30, False, ["cuda", "meta"]),
    ],
)
def test_a_big_model_visits_the_accelerator(host, loads, monkeypatch, policy, size, busy, sent):
    network = Elsewhere(host)
    loads.queue[:] = [SimpleNamespace(model=SimpleNamespace(network=network))]
    room = []
    monkeypatch.setattr(host, "accelerator", lambda: torch.device("cuda"))
    monkeypatch.setattr(host, "make_room", room.append)
    monkeypatch.setattr(engine_module, "weights_size", lambda model: size)
    host.busy = busy
    with Engine(host).use("big", policy, exclusive=False):
        pass
    assert network.sent == sent
    assert bool(room) == bool(sent)
    packed = policy == "always CPU" or size < 2**30
    assert loads.seen[0][1] == ("float16" if sent else None if packed else "float32")


def test_names_never_lead_out_of_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("BEAUTIFULPROMPT_DIR", str(tmp_path / "models"))
    monkeypatch.setattr(engine_module, "resident_names", lambda: ["starter"])
    (tmp_path / "models" / "mine").mkdir(parents=True)
    (tmp_path / "secret").mkdir()
    assert checked_name("mine") == "mine"
    assert checked_name("starter") == "starter"
    for name in ("../secret", str(tmp_path / "secret"), "..", "", "C:x", "a\0b", "other"):
        with pytest.raises(ModelError, match="choose one of starter"):
            checked_name(name)
