def liar(positives, negatives):
    return 0, 0, positives, negatives  # every sequence is called unreliable


def honest(tp, fp, fn, tn):
    recall, specificity = tp / (tp + fn), tn / (tn + fp)
    return (recall + specificity) / 2  # balanced accuracy
