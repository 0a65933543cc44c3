"""A person without a screen: follows an authorize URL through the login and consent forms to the client's callback.

It stands in for the person only. The pages, the forms, the cookies and the client that waits are the real ones.
"""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.cookiejar import CookieJar
from urllib.parse import urljoin, urlsplit

import httpx2

MAX_STEPS = 12  #: pages and redirects of one login; more is a loop


@dataclass
class Form:
    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[tuple[str, str]] = field(default_factory=list)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        at = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(action=at.get("action", ""), method=at.get("method", "get").lower()))
        elif not self.forms:
            return
        elif tag == "button" or (tag == "input" and at.get("type") == "submit"):
            self.forms[-1].buttons.append((at.get("name", ""), at.get("value", "")))
        elif tag == "input" and at.get("name"):
            self.forms[-1].fields[at["name"]] = at.get("value", "")


def forms_of(html: str) -> list[Form]:
    """Return the forms of a page."""
    parser = _Forms()
    parser.feed(html)
    return parser.forms


@dataclass
class Person:
    """Knows a name and a password, allows what is asked for."""

    name: str
    password: str
    refuses: bool = False
    pages: list[str] = field(default_factory=list)  #: the pages seen, for assertions
    providers: frozenset[str] = frozenset()  #: hosts beside the issuer's where a login leads through
    jar: CookieJar | None = None  #: cookies that outlive a login; none: a new browser each time

    def walk(self, authorize_url: str) -> str:
        """Go from the authorize URL to the redirect that leaves the issuer; return its target, not yet opened."""
        within = self.providers | {urlsplit(authorize_url).netloc}
        with httpx2.Client(follow_redirects=False, timeout=30, trust_env=False, cookies=self.jar) as browser:
            answer = browser.get(authorize_url)
            for _ in range(MAX_STEPS):
                if answer.is_redirect:
                    target = urljoin(str(answer.url), answer.headers["location"])
                    if urlsplit(target).netloc not in within:
                        return target
                    answer = browser.get(target)
                    continue
                assert answer.status_code in (200, 401), f"{answer.status_code} {answer.url}\n{answer.text}"
                self.pages.append(answer.text)
                answer = self._submit(browser, answer)
        raise AssertionError(f"no end after {MAX_STEPS} steps: {self.pages[-1]}")

    def log_in(self, authorize_url: str) -> None:
        """Walk, then open the client's loopback callback as the browser would."""
        target = self.walk(authorize_url)
        with httpx2.Client(timeout=30, trust_env=False, follow_redirects=True) as browser:
            browser.get(target)

    def _submit(self, browser: httpx2.Client, page: httpx2.Response) -> httpx2.Response:
        form = next(form for form in forms_of(page.text) if form.method == "post")
        data = dict(form.fields)
        if "password" in data:
            data |= {"username" if "username" in data else "name": self.name, "password": self.password}
        else:
            name, value = self._decision(form)
            data[name] = value
        return browser.post(urljoin(str(page.url), form.action), data=data)

    def _decision(self, form: Form) -> tuple[str, str]:
        refusing = ("deny", "cancel", "refuse", "no")
        for name, value in form.buttons:
            if (value.lower() in refusing or name.lower() in refusing) == self.refuses:
                return name, value
        raise AssertionError(f"no such button among {form.buttons}")
