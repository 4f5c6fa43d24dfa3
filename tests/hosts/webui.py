"""A real WebUI for tests: started once, with this extension, in a data folder of its own.

WEBUI_DIR       folder of AUTOMATIC1111's WebUI, Forge, Forge Neo, reForge or SD.Next, with a
                checkpoint (SD.Next: in models/Diffusers)
WEBUI_PYTHON    the Python that has its requirements
WEBUI_ARGS      further flags, for a machine without a GPU say
WEBUI_PAGE      "classic" for SD.Next's page of that kind instead of its ModernUI
WEBUI_START     seconds to wait for its start, 300 if not given
"""

from __future__ import annotations

import atexit
import base64
import json
import os
import shlex
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
_HOST = Path(os.environ.get("WEBUI_DIR", ""))
#: SD.Next, whose password guards its page, too.
SDNEXT = (_HOST / "modules" / "scripts_manager.py").is_file()
#: Its ModernUI, which shows the Control tab only.
MODERN = SDNEXT and os.environ.get("WEBUI_PAGE") != "classic"
USER = "artist:secret"
_FLAGS = [
    "--skip-prepare-environment",
    "--skip-install",
    "--skip-version-check",
    "--skip-python-version-check",
    "--skip-torch-cuda-test",
    "--no-hashing",
    "--disable-console-progressbars",
    "--api",
    "--api-auth",
    USER,
    "--server-name",
    "127.0.0.1",
]
# A host that does not know one of these has no such download, and refuses to start with it.
_NO_DOWNLOADS = ["--no-download-sd-model", "--do-not-download-clip"]
_FRAMED = "a framed picture of {prompt}, in oil"
# What the host itself writes at its first start. Until it has, Forge Neo takes its prompt boxes to
# hold no text, and puts none there from an infotext.
_PROMPTS = {f"{tab}/Prompt/value": "" for tab in ("txt2img", "img2img")}
#: What tests set, so that a picture takes no time.
SMALL = {"steps": 2, "width": 64, "height": 64, "seed": 11, "sampler_name": "Euler", "cfg_scale": 5}


@dataclass
class Answer:
    """An HTTP answer; `body` is its JSON."""

    status: int
    body: dict

    @property
    def info(self) -> dict:
        """What the host tells of a txt2img call."""
        return json.loads(self.body["info"])

    @property
    def images(self) -> list[bytes]:
        """The pictures' pixels, packed: the files around them carry the infotext."""
        return [_pixels(base64.b64decode(image)) for image in self.body["images"]]


def started() -> WebUI:
    """The one WebUI of a test run; it ends with it. Raises RuntimeError if it does not start."""
    running, error = _start()
    if error is not None:
        raise error
    return running


@cache
def _start() -> tuple[WebUI, RuntimeError | None]:
    folder = tempfile.mkdtemp(prefix="webui-")
    running = WebUI(Path(folder))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(running.stop)
    try:
        running.start()
    except RuntimeError as error:  # once is enough: no test waits for a second start
        return running, error
    return running, None


class WebUI:
    """A host's process; `log` is its output so far."""

    is_sdnext = SDNEXT

    def __init__(self, folder: Path) -> None:
        self.host = _HOST
        self.data = folder / "data"
        self.models = folder / "beautifulprompt"
        self._log = folder / "log.txt"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen | None = None

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def pid(self) -> int:
        return self._process.pid

    def start(self) -> None:
        """Return once it answers; raises RuntimeError with its log if it never does."""
        extensions = self.data / "extensions"
        extensions.mkdir(parents=True)
        self.models.mkdir()
        (extensions / "a name of the user's").symlink_to(ROOT, target_is_directory=True)
        # Its name is what orders us behind it.
        wildcards = Path(__file__).with_name("sd-dynamic-prompts")
        (extensions / wildcards.name).symlink_to(wildcards, target_is_directory=True)
        styles = f'name,prompt,negative_prompt\nframed,"{_FRAMED}",\n'
        (self.data / "styles.csv").write_text(styles)
        (self.data / "ui-config.json").write_text(json.dumps(_PROMPTS))
        self._lora()
        command = [
            os.environ.get("WEBUI_PYTHON", "python"),
            "launch.py",
            *(self._sdnext() if SDNEXT else self._others()),
            *("--port", str(self.port), "--data-dir", str(self.data)),
            *("--beautifulprompt-dir", str(self.models)),
            *shlex.split(os.environ.get("WEBUI_ARGS", "")),
        ]
        env = {**os.environ, "HF_HUB_OFFLINE": "1", "GRADIO_ANALYTICS_ENABLED": "False"}
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                command, cwd=self.host, env=env, stdout=log, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + float(os.environ.get("WEBUI_START", "300"))
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            # Asked earlier than that, AUTOMATIC1111 cannot add its routes any more and ends.
            if "Startup time:" in self.log and self.get("/sdapi/v1/samplers").status == 200:
                return
            time.sleep(1)
        self.stop()
        raise RuntimeError(f"{self.host} did not start:\n{self.log[-4000:]}")

    def _others(self) -> list[str]:
        """Flags of all hosts but SD.Next."""
        known = (self.host / "modules" / "cmd_args.py").read_text(encoding="utf-8")
        return [
            *_FLAGS,
            *(flag for flag in _NO_DOWNLOADS if flag in known),
            # With a data folder elsewhere Forge Neo refuses its own page's files.
            *("--gradio-allowed-path", str(self.host)),
            *("--ckpt-dir", str(self.host / "models" / "Stable-diffusion")),
        ]

    def _sdnext(self) -> list[str]:
        """SD.Next's flags, and its settings: what the others have flags for."""
        models = self.host / "models"
        styles = self.data / "models" / "styles"
        styles.mkdir(parents=True)
        (styles / "framed.json").write_text(json.dumps({"name": "framed", "prompt": _FRAMED}))
        settings = {
            "sd_checkpoint_autoload": False,
            "sd_model_checkpoint": next(path.name for path in sorted(models.glob("Diffusers/*"))),
            "offline_mode": True,
            "samples_save": False,
            "samples_format": "png",
            "diffusers_offload_mode": "none",
            "styles_dir": str(styles),
            "theme_type": "Modern" if MODERN else "Standard",
        }
        (self.data / "config.json").write_text(json.dumps(settings))
        lora = str(self.data / "models" / "Lora")
        return [
            *("--skip-all", "--skip-env", "--server-name", "127.0.0.1", "--auth", USER),
            *("--models-dir", str(models), "--lora-dir", lora),
        ]

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def get(self, path: str, **options) -> Answer:
        return self.call(path, None, **options)

    def call(
        self,
        path: str,
        body: dict | bytes | None,
        *,
        user: str | None = USER,
        kind: str = "application/json",
        timeout: float = 600,
    ) -> Answer:
        """GET without a body, POST with one; an error's answer comes back like any other."""
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        request = urllib.request.Request(self.url + path, data, {"Content-Type": kind})
        if user:
            token = base64.b64encode(user.encode()).decode()
            request.add_header("Authorization", f"Basic {token}")
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return Answer(answer.status, _json(answer.read()))
        except urllib.error.HTTPError as error:
            return Answer(error.code, _json(error.read()))

    def txt2img(self, prompt: str, beautify: list | dict | None = None, **fields) -> Answer:
        """A small picture; `beautify` are the arguments of our script."""
        return self._picture("txt2img", prompt, beautify, fields)

    def img2img(
        self, prompt: str, picture: Answer, beautify: list | None = None, **fields
    ) -> Answer:
        """A small picture made of another one."""
        fields |= {"init_images": picture.body["images"], "denoising_strength": 0.5}
        return self._picture("img2img", prompt, beautify, fields)

    def _picture(self, tab: str, prompt: str, beautify: list | dict | None, fields: dict) -> Answer:
        body = {**SMALL, "prompt": prompt, **fields}
        if beautify is not None:
            values = beautify if isinstance(beautify, list) else [beautify]
            body["alwayson_scripts"] = {"Beautify": {"args": values}}
        answer = self.call(f"/sdapi/v1/{tab}", body)
        assert answer.status == 200, answer.body
        return answer

    def script(self, name: str, img2img: bool = False) -> list[dict]:
        """The arguments of one of the host's scripts: label, value, choices."""
        scripts = self.get("/sdapi/v1/script-info").body
        info = next(s for s in scripts if s["name"] == name and s["is_img2img"] == img2img)
        return [{**a, "value": [] if a.get("value") is None else a["value"]} for a in info["args"]]

    def beautify(self, **fields) -> Answer:
        return self.call("/beautifulprompt/v1/beautify", fields)

    def set(self, **options) -> None:
        """Change settings of the host."""
        assert self.call("/sdapi/v1/options", options).status == 200

    def resident(self) -> int:
        """Bytes of RAM that the host holds."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def _lora(self) -> None:
        """A LoRA that changes nothing, with trigger words beside it."""
        folder = self.data / "models" / "Lora"
        folder.mkdir(parents=True)
        header = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
        weights = len(header).to_bytes(8, "little") + header + bytes(4)
        (folder / "tiny.safetensors").write_bytes(weights)
        (folder / "tiny.json").write_text(json.dumps({"activation text": "zorblax style"}))


def _pixels(png: bytes) -> bytes:
    """The IDAT chunks of a PNG file."""
    found, at = b"", 8
    while at < len(png):
        size = int.from_bytes(png[at : at + 4], "big")
        if png[at + 4 : at + 8] == b"IDAT":
            found += png[at + 8 : at + 8 + size]
        at += 12 + size
    assert found, "not a PNG file"
    return found


def _json(text: bytes) -> dict:
    try:
        return json.loads(text)
    except ValueError:
        return {"text": text.decode(errors="replace")}
