"""Break similarity sampling as the released code does, and say what it then keeps. Fill in both,
then run this file.
"""

import sys

import numpy as np

from rbc import sampling, simulate


def most_similar(similarity):
    """The pair of neighbours that look most alike, from {(frame, next frame): SSIM}, pairs in order
    of time.
    """
    best, best_value = None, -1
    for pair, value in similarity.items():
        if value > best_value:
            best, best_value = pair, value
    return best


def most_similar_released(similarity):
    """The same loop with one wrong word in its last line: it answers with its loop variable."""
    ...


def kept_by_released(length, k):
    """Without running anything: which of `length` frames are left, as a list of k numbers from
    0.
    """
    ...


def shorten(frames, k, choose):
    """While more than k frames are left, drop the first frame of the chosen pair."""
    kept = list(range(len(frames)))
    while len(kept) > k:
        pairs = {(i, j): sampling.ssim(frames[i], frames[j]) for i, j in zip(kept, kept[1:])}
        kept.remove(choose(pairs)[0])
    return kept


def check(answer):
    assert answer.kept_by_released(30, 10) is not None, "kept_by_released gives nothing yet"
    for seed, k in ((1, 5), (2, 10)):
        name = simulate.acquisition_names("train")[seed]
        frames = simulate.strip("flipping", name, (0, seed, 0), seed)
        left = shorten(frames, k, answer.most_similar_released)
        released = list(sampling.indices(frames, "similarity-released", k))
        assert left != shorten(frames, k, most_similar), "this still finds the most similar pair"
        assert left == released, f"the released code keeps {released}; yours keeps {left}"
        assert answer.kept_by_released(len(frames), k) == left, (
            "what you foresee is not what is kept"
        )


def show():
    frames = simulate.strip("flipping", simulate.acquisition_names("train")[0], (0, 0, 0), 0)
    print(len(frames), "frames, most similar pairs first:", shorten(frames, 10, most_similar))
    print("as released:", np.array(shorten(frames, 10, most_similar_released)))


if __name__ == "__main__":
    check(sys.modules["__main__"])
    print("Right.")
    show()
