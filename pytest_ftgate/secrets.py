"""Keep secrets out of what is printed and written."""

import re

_SECRETS = re.compile(
    r"""\bsk-[\w*.-]{3,}
    | \b(?:gsk_|hf_|gh[opsu]_|github_pat_|glpat-|xox[abp]-|AIza|ya29\.)[\w*.-]{16,}
    | (?<=\bBearer\s) [^\s"',;)]+
    | (?<=://) [^\s/@:]* : [^\s/@]+ (?=@)
    | (?P<name>[?&][\w.-]*?
        (?:key|token|secret|password|signature|credential|sig|code)=) [^\s&"'#)]+
    | (?P<field>\b(?:x-)?
        (?:api[-_]?key|(?:access|auth)[-_]?token|client[-_]?secret|password)
        ["']?(?:=|:\s?["'])["']?) [^\s"',;)}]{4,}""",
    re.IGNORECASE | re.VERBOSE,
)
_LONGEST = 20_000  # characters that are searched: what is shown of a text is much shorter
_SECRET_KEY = re.compile(
    r"key|(?<!max_)token(?!s_per_minute)|secret|passw|credential|auth", re.IGNORECASE
)
_LITERAL_KEY = re.compile(r"(api_?key|secret|password|authorization|(access|auth|bearer)_?token)$")


def redacted(text: str) -> str:
    """Return the text with ``***`` in place of secrets.

    Those are keys of usual forms, and secrets in URLs and headers. Of a very long text only the
    start is kept.
    """
    return _SECRETS.sub(_without_secret, text[:_LONGEST])


def _without_secret(match: re.Match[str]) -> str:
    name: str = match["name"] or match["field"] or ""
    return f"{name}***"


def may_hold_secret(key: str) -> bool:
    """Return whether the value of a key should not be quoted.

    That of ``api_key_env`` may be the secret itself.
    """
    return bool(_SECRET_KEY.search(key))


def holds_literal_key(key: str) -> bool:
    """Return whether the value of a key is a secret, as that of ``api_key`` is."""
    return bool(_LITERAL_KEY.search(key.lower().replace("-", "_")))
