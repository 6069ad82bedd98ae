"""A photo's metadata: EXIF, XMP and the ICC profile, read from any format and prepared for any other.

EXIF is rewritten from its tags, without those about the file itself, such as a TIFF's strips, and without the
thumbnail, which would still show what was removed.
"""

import re
from collections.abc import Iterator

from PIL import ExifTags, Image, ImageFile

_KEPT: frozenset[int] = frozenset(
    {
        ExifTags.Base.ImageDescription,
        ExifTags.Base.Make,
        ExifTags.Base.Model,
        ExifTags.Base.XResolution,
        ExifTags.Base.YResolution,
        ExifTags.Base.ResolutionUnit,
        ExifTags.Base.Software,
        ExifTags.Base.DateTime,
        ExifTags.Base.Artist,
        ExifTags.Base.HostComputer,
        ExifTags.Base.Rating,
        ExifTags.Base.RatingPercent,
        ExifTags.Base.Copyright,
        ExifTags.Base.XPTitle,
        ExifTags.Base.XPComment,
        ExifTags.Base.XPAuthor,
        ExifTags.Base.XPKeywords,
        ExifTags.Base.XPSubject,
        ExifTags.IFD.Exif,
        ExifTags.IFD.GPSInfo,
    }
)
_PREFIX = b"Exif\0\0"
_XMP_ORIENTATION = re.compile(rb"""(tiff:Orientation(?:\s*=\s*["']|>))\s*\d""")


def read_metadata(image: ImageFile.ImageFile) -> Iterator[tuple[str, bytes]]:
    """Yield `exif`, `xmp` and `icc_profile` of a loaded image, each if the file has it and it can be read.

    `exif` is a TIFF structure without a prefix or the orientation, which is removed from `image`, too.
    """
    if exif := _encoded(image.getexif(), _KEPT):
        yield "exif", exif
    for name in ("xmp", "icc_profile"):
        if isinstance(value := image.info.get(name), bytes) and value:
            yield name, value


def exif_of(exif: bytes, *, size: tuple[int, int], orientation: int, location: bool) -> bytes | None:
    """Return the EXIF data of a response, or None if there is none.

    Args:
        exif: as `read_metadata` yields it, or empty.
        size: height and width of the response's image, as stored.
        orientation: the EXIF orientation, how a viewer has to rotate the image; 1: not at all.
        location: whether to keep the place where the photo was taken.
    """
    values = Image.Exif()
    values.load(exif)
    if orientation != 1:
        values[ExifTags.Base.Orientation] = orientation
    details = values.get_ifd(ExifTags.IFD.Exif) if ExifTags.IFD.Exif in values else {}
    for tag, length in ((ExifTags.Base.ExifImageHeight, size[0]), (ExifTags.Base.ExifImageWidth, size[1])):
        if tag in details:
            details[tag] = length
    removed = () if location else (ExifTags.IFD.GPSInfo,)
    return _encoded(values, (_KEPT | {ExifTags.Base.Orientation}).difference(removed))


def upright_xmp(xmp: bytes) -> bytes:
    """Return XMP for an image that a viewer does not have to rotate."""
    return _XMP_ORIENTATION.sub(rb"\g<1>1", xmp)


def _encoded(values: Image.Exif, kept: frozenset[int]) -> bytes | None:
    try:
        for tag in set(values) - kept:
            del values[tag]
        return values.tobytes().removeprefix(_PREFIX) if len(values) else None
    except Exception:  # damaged tags make Pillow raise all kinds of exceptions
        return None
