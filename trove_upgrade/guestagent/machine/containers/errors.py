# SPDX-License-Identifier: Apache-2.0
"""Errors of a container engine; each with its stable code."""

from trove_upgrade.domain import exceptions


class EngineError(exceptions.StepFailed):
    """Base of all of them."""

    code = 'ENGINE_REFUSED'

    def __init__(self, reason: str) -> None:
        super().__init__(reason, self.code)


class EngineRefused(EngineError):
    """The engine answered, and said no."""


class EngineNotAnswering(EngineError):
    """Failure of the engine to answer: not at all, by half, or unreadably."""

    code = 'ENGINE_NOT_ANSWERING'


class ContainerNotFound(EngineError):
    """Absence of a container with that name."""

    code = 'CONTAINER_NOT_FOUND'


class ContainerFailed(EngineError):
    """A container cannot be made or started."""

    code = 'CONTAINER_FAILED'


class ContainerImageNotFound(EngineError):
    """The registry does not know the image, or the engine has none of that name."""

    code = 'CONTAINER_IMAGE_NOT_FOUND'


class ImageNotPulled(EngineError):
    """The image could not be brought here."""

    code = 'CONTAINER_IMAGE_NOT_PULLED'


class ImageNotLoaded(EngineError):
    """The engine has not taken an image from an archive, or has not given one."""

    code = 'CONTAINER_IMAGE_NOT_LOADED'


class ImageDiffers(EngineError):
    """The engine has an image under the name, and its digest is another one than the name's."""

    code = 'CONTAINER_IMAGE_DIFFERS'
