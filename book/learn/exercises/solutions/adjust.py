def adjusted(called, right, wrong):
    return min(1, max(0, (called - wrong) / (right - wrong)))
