def most_similar_released(similarity):
    best_value = -1
    for pair, value in similarity.items():  # noqa: B007  that is the mistake
        if value > best_value:
            best_value = value
    return pair  # the loop ends with the last pair, whatever its value


def kept_by_released(length, k):
    return [*range(k - 1), length - 1]
