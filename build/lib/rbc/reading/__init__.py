"""From a file or a folder to the frames of a movie: grey levels, their times and their units."""
