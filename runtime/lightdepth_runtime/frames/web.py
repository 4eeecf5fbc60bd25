"""What stands behind an http(s) URL: a picture, a video that ends, or a live camera. Finite ones are read whole."""

from __future__ import annotations

import base64
import shutil
import ssl
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Literal, cast
from urllib.error import HTTPError, URLError
from urllib.parse import quote, unquote, urljoin, urlsplit, urlunsplit
from urllib.request import Request, urlopen

from ..closing import Closing
from ..errors import LightDepthError
from ..images.decode import IMAGE_SUFFIXES, decode_rgb
from ..images.stored import media_kind
from .camera import Camera, open_camera, without_password
from .frame import Frame
from .video import VIDEO_SUFFIXES, Capture, VideoFile

__all__ = ["WebPicture", "WebVideo", "file_name_of", "open_web"]

TIMEOUT_S = 10.0
PLAYLIST_BYTES = 1 << 20
_PLAYLISTS = {".m3u8", ".m3u"}
_OFTEN_LIVE = {".ts", ".mjpeg"}  # without a length, what these send may have no end
_KEPT = "%/?:@!$&'()*+,;=~[]|"
_PEEKED_BYTES = 64
_ASKS_PASSWORD = (401, 403, 407)  # FFmpeg knows more ways to give one

Kind = Literal["picture", "video", "sequence", "live", "page"]


class WebPicture(Closing):
    """One picture as a stream of one frame."""

    live = False
    count: int | None = 1
    fps: float | None = None

    def __init__(self, content: bytes, shown: str, name: str) -> None:
        self._frame = Frame(decode_rgb(content, shown), 0, name)

    def __iter__(self) -> Iterator[Frame]:
        yield self._frame

    def close(self) -> None:
        """Do nothing: the picture is in memory."""


class WebVideo(VideoFile):
    """A video file, fetched into a temporary one, so that no frame is lost and any server will do."""

    def __init__(self, response: HTTPResponse, shown: str, name: str) -> None:
        with ExitStack() as resources:
            folder = Path(resources.enter_context(tempfile.TemporaryDirectory(prefix="lightdepth.")))
            path = folder / f"video{Path(urlsplit(shown).path).suffix or '.mp4'}"
            _fetch(response, path, shown)
            super().__init__(path, name, shown=shown)
            self._resources = resources.pop_all()

    def close(self) -> None:
        """Close the video and delete the temporary file."""
        super().close()
        self._resources.close()


def open_web(url: str, name: str, *, opener: Callable[[str], Capture] = open_camera) -> WebPicture | VideoFile | Camera:
    """Ask what a URL holds, and open it: what ends is read to its end without losing a frame, a camera live.

    A picture or a video is what is one by the server's word, its suffix or its first bytes, with a length or without;
    MJPEG (multipart), and MPEG-TS and what nothing tells without a length, is a camera.

    Raises:
        LightDepthError: out of reach, a page instead of pictures, or what can't be opened.
    """
    shown, url = without_password(url), _quoted(url)
    try:
        response = _request(url)
    except HTTPError as error:
        if error.code in _ASKS_PASSWORD:
            with _password_asked(shown, error):
                return Camera(url, name=name, opener=opener)
        raise LightDepthError(f"{shown} answers {error.code} ({error.reason}); check the address.") from error
    except (OSError, ValueError) as error:  # URLError among them
        reason = error.reason if isinstance(error, URLError) else error
        if isinstance(reason, ssl.SSLError):  # a camera's own certificate
            return Camera(url, name=name, opener=opener)
        raise LightDepthError(f"{shown} can't be reached ({reason}); check the address and the network.") from error
    except HTTPException:  # old cameras answer in ways of their own
        return Camera(url, name=name, opener=opener)
    with response:
        kind = _kind_of(response, url, shown)
        if kind == "picture":
            return WebPicture(_read(response, shown), shown, name)
        if kind == "video":
            return WebVideo(response, shown, name)
    if kind == "page":
        raise LightDepthError(
            f"{shown} is a web page and no picture or video; name the URL of the stream itself, which the camera's "
            "manual tells."
        )
    if kind == "sequence":
        return VideoFile(url, name, opener=opener, shown=shown)
    return Camera(url, name=name, opener=opener)


def file_name_of(url: str) -> str | None:
    """Return the name of the picture or video file that a URL ends in, None where it names none."""
    try:
        name = unquote(Path(urlsplit(url).path).name)
    except ValueError:  # opening it says what is wrong
        return None
    return name if Path(name).suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES | _PLAYLISTS else None


def _kind_of(response: HTTPResponse, url: str, shown: str) -> Kind:
    kind, suffix = response.headers.get_content_type(), Path(urlsplit(url).path).suffix.lower()
    has_end = bool(response.length)  # None where the server gives no length, or none that is a number
    if kind.startswith("multipart/"):
        return "live"
    if "mpegurl" in kind or suffix in _PLAYLISTS:
        return "sequence" if _playlist_ends(_read(response, shown, PLAYLIST_BYTES), url) else "live"
    if kind == "text/html":
        return "page"
    is_picture = kind.startswith("image/") or (suffix in IMAGE_SUFFIXES and has_end)
    found = None if is_picture else media_kind(_peek(response))
    if is_picture or (found == "picture" and not kind.startswith("video/")):  # a video may be JPEG after JPEG
        return "picture"
    if has_end:
        return "video"
    return "sequence" if found == "video" or suffix in VIDEO_SUFFIXES - _OFTEN_LIVE else "live"


def _playlist_ends(content: bytes, url: str, *, deeper: bool = True) -> bool:
    """Tell whether an HLS playlist, or the first that a master playlist names, has an end (RFC 8216, 4.3.3.4)."""
    if b"#EXT-X-STREAM-INF" not in content:
        return b"#EXT-X-ENDLIST" in content
    first = next((line for line in content.decode("utf-8", "replace").splitlines() if line and line[0] != "#"), "")
    if not (first and deeper):
        return False
    try:
        with _request(urljoin(url, first.strip())) as response:
            return _playlist_ends(response.read(PLAYLIST_BYTES), url, deeper=False)
    except (OSError, ValueError, HTTPException):
        return False


def _quoted(url: str) -> str:
    """Return a URL with blanks and letters beyond ASCII as a server takes them; what is quoted stays as it is."""
    with suppress(ValueError):  # opening it says what is wrong
        parts = urlsplit(url)
        return urlunsplit(parts._replace(path=quote(parts.path, _KEPT), query=quote(parts.query, _KEPT)))
    return url


@contextmanager
def _password_asked(shown: str, answer: HTTPError) -> Generator[None, None, None]:
    """Say of a URL that FFmpeg can't open either what the server answered."""
    try:
        yield
    except LightDepthError as error:
        raise LightDepthError(
            f"{shown} answers {answer.code} ({answer.reason}); give its user and password in the address: "
            "http://USER:PASSWORD@HOST/..."
        ) from error


def _request(url: str) -> HTTPResponse:
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    headers = {"User-Agent": "lightdepth"}
    if at:
        headers["Authorization"] = "Basic " + base64.b64encode(unquote(user).encode()).decode()
    plain = urlunsplit((parts.scheme.lower(), host, parts.path, parts.query, ""))
    return cast(HTTPResponse, urlopen(Request(plain, headers=headers), timeout=TIMEOUT_S))


def _peek(response: HTTPResponse) -> bytes:
    """Return the first bytes without taking them; none where they don't come, which reading will say."""
    try:
        return response.peek(_PEEKED_BYTES)
    except (OSError, HTTPException):
        return b""


def _read(response: HTTPResponse, shown: str, most: int | None = None) -> bytes:
    try:
        content = response.read(most)
    except (OSError, HTTPException) as error:
        raise _broken_off(shown, str(error)) from error
    if not content:
        raise LightDepthError(f"{shown} is empty (0 bytes); check the address.")
    return content


def _fetch(response: HTTPResponse, path: Path, shown: str) -> None:
    """Write what a response sends to a file, and check that all of it came."""
    wanted = response.length or 0
    try:
        with path.open("wb") as file:
            shutil.copyfileobj(response, file)
    except (OSError, HTTPException) as error:
        raise _broken_off(shown, str(error)) from error
    size_bytes = path.stat().st_size
    if size_bytes < wanted:
        raise _broken_off(shown, f"{size_bytes} of {wanted} bytes came")


def _broken_off(shown: str, reason: str) -> LightDepthError:
    return LightDepthError(f"{shown} couldn't be fetched ({reason}); check the connection and the space in TMPDIR.")
