"""YAML files of the checkout, checked while they are read."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from rbc import RbcError

Model = TypeVar("Model", bound=BaseModel)


def read(path: Path) -> object:
    """A YAML file's content, read as UTF-8.

    Raises `RbcError` where it is not YAML, or is not there.
    """
    try:
        return yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RbcError(f"{path}: not there") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RbcError(
            f"{path}: not a readable YAML file ({' '.join(str(error).split())})"
        ) from error


def checked(model: type[Model], content: object, path: Path, advice: str) -> Model:
    """Some content as a model of pydantic.

    Parameters
    ----------
    model : what the content must be
    content : of a YAML file
    path : the file, for the error
    advice : what to do about a wrong key, in a few words

    Raises
    ------
    RbcError
        for the first key that is unknown, missing or of a wrong type, named
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the whole file"
        raise RbcError(f"{path}: key {key}: {first['msg']}; {advice}") from error
