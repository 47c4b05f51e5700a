"""A certificate that is not accepted ends the exchange before anything is sent, and the quota is given back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.bad_inputs.cases import TLS, Case
from tests.bad_inputs.stage import Turns
from tests.bad_inputs.test_answers import check
from tests.wire.certificates import Certificates
from tests.wire.nasty import NastyServer

if TYPE_CHECKING:
    from tests.bad_inputs.stage import Stage

MADE = {"TS10": ("IP:127.0.0.1", 0), "TS11": ("DNS:other.example", 2)}  # its subject, and the days that it is valid


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.mark.parametrize("case", TLS, ids=str)
def test_a_bad_certificate_has_its_outcome(case: Case, stage: Stage, certificates: Certificates, december_rows: list[str]) -> None:
    subject, days = MADE[case.id]
    stage.ca_file = certificates.ca
    with NastyServer(Turns(case.scripts), tls=certificates.server(case.id, subject=subject, days=days)) as server:
        check(stage, case, server, december_rows)


def test_the_same_answer_over_a_good_certificate_is_kept(stage: Stage, certificates: Certificates) -> None:
    stage.ca_file = certificates.ca
    with NastyServer(Turns(TLS[0].scripts), tls=certificates.server("good", subject="IP:127.0.0.1")) as server:
        ran, line = stage.fetch(server)
    assert (ran.code, line["bars"]) == (0, 10)
