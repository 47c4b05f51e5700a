"""A certificate authority for tests, made with the openssl program."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


class Certificates:
    """A small authority in a folder of its own. Skips the test where there is no openssl."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("openssl") is None:
            pytest.skip("no openssl program here")
        self._folder = folder
        self._run("req", "-x509", *self._key("ca"), "-subj", "/CN=ca", "-days", "2", "-out", "ca.pem")
        self.ca = folder / "ca.pem"

    def server(self, name: str, *, subject: str, days: int = 2) -> ssl.SSLContext:
        self._run("req", *self._key(name), "-subj", f"/CN={name}", "-out", f"{name}.csr")
        (self._folder / f"{name}.ext").write_text(f"subjectAltName={subject}\n")
        signing = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", str(days), "-extfile", f"{name}.ext")
        self._run("x509", "-req", "-in", f"{name}.csr", *signing, "-out", f"{name}.pem")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        return context

    @staticmethod
    def _key(name: str) -> tuple[str, ...]:
        return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key")

    def _run(self, *words: str) -> None:
        done = subprocess.run(["openssl", *words], cwd=self._folder, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"this openssl cannot make the certificate: {done.stderr[-200:]}")
