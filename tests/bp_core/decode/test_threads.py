"""threads.py: a small network takes one thread, and a host's threads keep theirs."""

import threading

import torch

from bp_core.decode.threads import few_threads


def begun() -> int:
    """With how many threads a new thread computes."""
    found = []

    def compute():
        torch.ones(300, 300) @ torch.ones(300, 300)
        found.append(torch.get_num_threads())

    thread = threading.Thread(target=compute)
    thread.start()
    thread.join()
    return found[0]


def test_only_this_thread_computes_with_one(bloom):
    network = bloom()
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with few_threads(network):
            assert torch.get_num_threads() == 1
            assert begun() == 2
            with few_threads(network):
                assert torch.get_num_threads() == 1
                assert begun() == 2
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == begun() == 2
    finally:
        torch.set_num_threads(before)


def test_a_wide_network_takes_what_there_is(bloom):
    network = bloom(n_head=8, head_dim=128, n_layer=1)
    before = torch.get_num_threads()
    with few_threads(network):
        assert torch.get_num_threads() == before
