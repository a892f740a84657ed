import numpy as np
import pytest
from threadpoolctl import threadpool_info

from NativeDLLib.core.arrays import Scratch, in_threads


def blas_threads(_=None):
    of_numpy = (lib for lib in threadpool_info() if lib["user_api"] == "blas" and "numpy" in lib["filepath"])
    return {library["num_threads"] for library in of_numpy}


def test_products_of_matrices_in_threads_take_one_core_each_and_all_of_them_afterwards():
    np.ones((2, 2)) @ np.ones((2, 2))
    before = blas_threads()
    assert before

    during = in_threads(blas_threads, range(4))

    assert during == [{1}] * 4
    assert blas_threads() == before


def test_results_are_in_the_order_of_the_items_and_an_error_ends_it():
    assert in_threads(lambda number: number**2, range(50)) == [n**2 for n in range(50)]
    with pytest.raises(ZeroDivisionError):
        in_threads(lambda number: 1 // number, [1, 0])


def test_scratch_is_one_array_for_each_name_and_thread_and_grows():
    scratch = Scratch()
    first = scratch.array("a", (4, 5))
    first[...] = 7

    assert np.shares_memory(scratch.array("a", (2, 3)), first)
    assert not np.shares_memory(scratch.array("b", (2, 3)), first)
    assert scratch.array("a", (50, 5)).shape == (50, 5)
    assert scratch.array("a", (3,), bool).dtype == bool
    (other,) = in_threads(lambda name: scratch.array(name, (4, 5)), ["a"])
    assert not np.shares_memory(other, scratch.array("a", (4, 5)))
