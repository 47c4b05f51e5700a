"""The bad inputs that are no answer, each with its exit code: words, settings files, stores."""

from __future__ import annotations

from dataclasses import dataclass

from mdagent.cli.exits import ExitCode

E = ExitCode


@dataclass(frozen=True)
class Other:
    """A case without an answer: words, a settings file, a store. `words` or `text` hold the input, where one line can."""

    id: str
    title: str
    exit: ExitCode
    words: tuple[str, ...] = ()
    text: str = ""
    says: str = ""

    def __str__(self) -> str:
        return self.id


def yahoo(setting: str) -> str:
    """A settings file with one setting of Yahoo's."""
    return f"sources: {{yahoo: {{{setting}}}}}\n"


SYMBOLS = (
    Other("CS01", "a path", E.USAGE, ("fetch", "../../etc/passwd")),
    Other("CS02", "an escaped NUL", E.USAGE, ("fetch", "AAPL%00")),
    Other("CS02/raw", "a NUL", E.USAGE, ("fetch", "AAPL\0")),
    Other("CS03", "a query", E.USAGE, ("fetch", "AAPL&apikey=x")),
    Other("CS04", "a header", E.USAGE, ("fetch", "AAPL\r\nX-Evil: 1")),
    Other("CS05", "an emoji", E.USAGE, ("fetch", "\N{ROCKET}")),
    Other("CS06", "nothing", E.USAGE, ("fetch", "")),
    Other("CS07", "300 characters", E.USAGE, ("fetch", "A" * 300)),
    Other("CS10", "what looks like an option", E.USAGE, ("fetch", "-rf")),
)

ARGUMENTS = (
    Other("CA01", "a start after the end", E.USAGE, ("fetch", "AAPL", "--start", "2024-02-01", "--end", "2024-01-01")),
    Other("CA03", "a date that does not exist", E.USAGE, ("fetch", "AAPL", "--start", "2024-02-30")),
    Other("CA04", "an unknown interval", E.USAGE, ("fetch", "AAPL", "--interval", "7m"), says="use one of 5m, 1m"),
    Other("CA06", "an interval of nothing", E.USAGE, ("fetch", "AAPL", "--interval", "0d")),
    Other("CA06/minus", "an interval below nothing", E.USAGE, ("fetch", "AAPL", "--interval=-1d")),
    Other("CA06/float", "an interval of a billion minutes", E.USAGE, ("fetch", "AAPL", "--interval", "1e9m")),
    Other("CA07", "a limit of twenty digits", E.USAGE, ("fetch", "AAPL", "--limit", "99999999999999999999")),
)

_LAYERS = "\n".join(f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True))

SETTINGS = (
    Other("CF01", "an alias bomb", E.CONFIG, text=f"a: &a [x,x,x,x,x,x,x,x,x]\n{_LAYERS}\n", says="alias"),
    Other("CF02", "a key twice", E.CONFIG, text="sources: {}\nwire: {}\nsources: {}\n", says="on line 1 and on line 3"),
    Other("CF03", "a misspelt key", E.CONFIG, text="soruces: {}\n", says="did you mean sources"),
    Other("CF04", "an object", E.CONFIG, text='a: !!python/object/apply:os.system ["touch pwned"]\n', says="tag"),
    Other("CF05", "two documents", E.CONFIG, text="color: auto\n---\ncolor: never\n", says="second document"),
    Other("CF06", "a tab", E.CONFIG, text="sources:\n\tyahoo: {}\n", says=":2: column 1"),
    Other("CF08", "a billion a minute", E.CONFIG, text=yahoo("limits: [{limit: 1000000000, per: 1m}]"), says="from 1 to"),
    *(
        Other(f"CF09{tail}", f"{w} as a limit", E.CONFIG, text=yahoo(f"limits: [{{limit: {w}, per: 1m}}]"))
        for tail, w in (("", '"5"'), ("/true", "true"), ("/float", "5.5"), ("/zero", "0"), ("/minus", "-1"))
    ),
    Other("CF12", "an address on a private network", E.CONFIG, text=yahoo('base_url: "https://10.0.0.5/"'), says="allow_private"),
    Other("CF12/http", "plain http to a private network", E.CONFIG, text=yahoo('base_url: "http://10.0.0.5/"'), says="https"),
    Other("CF14", "an unknown time zone", E.CONFIG, text=yahoo("limits: [{limit: 5, per: day, zone: Mars/Phobos}]"), says="zone"),
)  # fmt: skip

# Each of these has a test of its own.
ALONE = (
    Other("CS09", "a symbol three times", E.OK),
    Other("CA02", "an end in the future", E.OK),
    Other("CA05", "1M is a month", E.OK),
    Other("CA08", "a full device", E.DISK_FULL),
    Other("CA09", "a reader that goes away", E.OK),
    Other("CF07", "an empty settings file", E.OK),
    Other("CF10", "a key in a file that others can read", E.CONFIG),
    Other("CF11", "a key with a line break", E.CONFIG),
    Other("CF13", "a running mdagent and a broken file", E.OK),
    Other("DB01", "a store of zero bytes", E.STORE_DAMAGED),
    Other("DB02", "killed at each write of the very first run", E.OK),
    Other("DB03", "a flipped bit in the write-ahead log", E.STORE_DAMAGED),
    Other("DB04", "a lock held too long", E.STORE_BUSY),
    Other("DB05", "a full disk", E.DISK_FULL),
    Other("DB06", "a read-only file system", E.DISK_FULL),
    Other("DB07", "a clock set back by a day", E.OK),
    Other("DB08", "a home that cannot be written", E.CONFIG),
)

OTHERS: tuple[Other, ...] = (*SYMBOLS, *ARGUMENTS, *SETTINGS, *ALONE)
