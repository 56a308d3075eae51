def predict(track):
    speed = (track[-1] - track[0]) / (len(track) - 1)
    return track[-1] + speed
