"""The book of accounts: made once, kept for ever, never given to anybody else."""

import multiprocessing
import sqlite3
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from auth import identity
from auth.accounts import Account, AccountBook, NameBelongsToAnotherError


@pytest.fixture
def book(tmp_path: Path) -> AccountBook:
    return AccountBook(tmp_path / "identity.sqlite")


def test_first_sign_in_makes_the_account(book: AccountBook) -> None:
    ada = book.sign_in("local", "s-1", "ada", "Ada Lovelace")
    key = identity.account_key("local", "s-1")
    assert ada == Account("ada", 200_000, key, "local", "s-1", "ada", "Ada Lovelace")
    assert book.by_name("ada") == ada
    assert book.sign_in("local", "s-1", "ada", "Ada Lovelace") == ada
    assert book.sign_in("local", "s-2", "bob", "").uid == 200_001


def test_unknown_names_have_no_account(book: AccountBook) -> None:
    assert book.by_name("ada") is None


def test_a_rename_at_the_provider_moves_nobody(book: AccountBook) -> None:
    before = book.sign_in("https://github.com", "1", "ada", "Ada")
    after = book.sign_in("https://github.com", "1", "countess", "Ada King")
    assert (after.name, after.uid, after.key) == (before.name, before.uid, before.key)
    assert (after.provider_name, after.display_name) == ("countess", "Ada King")
    assert book.by_name("ada") == after
    assert book.by_name("countess") is None


@pytest.mark.parametrize("name", ["ada", "ada-lovelace"])
def test_a_recycled_name_is_refused(book: AccountBook, name: str) -> None:
    book.sign_in("https://github.com", "1", name, "Ada")
    with pytest.raises(NameBelongsToAnotherError, match=f"The name {name} belongs to another"):
        book.sign_in("https://github.com", "2", name, "Eve")


@pytest.mark.parametrize("name", ["ada", "ada-lovelace"])
def test_a_name_given_up_keeps_its_rights_to_itself(book: AccountBook, name: str) -> None:
    book.sign_in("https://github.com", "1", name, "Ada")
    book.sign_in("https://github.com", "1", "countess", "Ada")
    with pytest.raises(NameBelongsToAnotherError):
        book.sign_in("https://github.com", "2", name, "Eve")
    book.sign_in("https://github.com", "3", "eve", "Eve")
    with pytest.raises(NameBelongsToAnotherError):
        book.sign_in("https://github.com", "3", "countess", "Eve")
    assert book.by_name("eve").provider_name == "eve"


def test_equal_names_at_two_providers_are_two_people(book: AccountBook) -> None:
    book.sign_in("https://github.com", "1", "ada", "Ada")
    with pytest.raises(NameBelongsToAnotherError):
        book.sign_in("https://gitlab.com", "1", "ada", "Ada")
    one = book.sign_in("https://github.com", "2", "ada-x", "Ada")
    other = book.sign_in("https://gitlab.com", "2", "ada-x", "Ada")
    assert one.name != other.name


def test_asking_for_a_name_writes_nothing(book: AccountBook) -> None:
    assert book.name_for("local", "1", "ada") == "ada"
    assert book.by_name("ada") is None
    book.sign_in("local", "2", "ada", "Ada")
    assert book.name_for("local", "2", "countess") == "ada"
    for issuer in ("local", "https://github.com"):
        with pytest.raises(NameBelongsToAnotherError):
            book.name_for(issuer, "1", "ada")
    assert book.sign_in("local", "3", "bob", "Bob").uid == 200_001


def test_a_refused_name_leaves_no_trace(book: AccountBook) -> None:
    book.sign_in("local", "1", "ada", "Ada")
    with pytest.raises(NameBelongsToAnotherError):
        book.sign_in("local", "2", "ada", "Eve")
    assert book.sign_in("local", "3", "bob", "Bob").uid == 200_001


def test_uids_are_not_used_again(book: AccountBook, tmp_path: Path) -> None:
    uid = book.sign_in("local", "1", "ada", "Ada").uid
    with sqlite3.connect(tmp_path / "identity.sqlite") as database:
        database.execute("DELETE FROM provider_names")
        database.execute("DELETE FROM accounts")
    assert book.sign_in("local", "2", "bob", "Bob").uid == uid + 1


def test_the_files_are_private(book: AccountBook, tmp_path: Path) -> None:
    book.sign_in("local", "1", "ada", "Ada")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes["identity.sqlite"] == 0o600
    assert set(modes.values()) == {0o600}


def test_every_write_reaches_the_disk(book: AccountBook, tmp_path: Path) -> None:
    with book._engine.begin() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
    assert AccountBook(tmp_path / "identity.sqlite").by_name("ada") is None


def test_threads_agree_on_one_account(book: AccountBook) -> None:
    with ThreadPoolExecutor(8) as pool:
        accounts = set(pool.map(lambda _: book.sign_in("local", "1", "ada", "Ada"), range(40)))
    assert len(accounts) == 1


def test_threads_get_different_uids(book: AccountBook) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: book.sign_in("local", str(n), f"u{n}", ""), range(40)))
    assert sorted(account.uid for account in made) == list(range(200_000, 200_040))


def test_processes_agree_on_one_account(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    uids = context.SimpleQueue()
    children = [context.Process(target=_sign_in_ten, args=(tmp_path, uids)) for _ in range(2)]
    for child in children:
        child.start()
    first, second = uids.get(), uids.get()
    for child in children:
        child.join(30)
    assert first == second
    assert len(set(first)) == 10


def _sign_in_ten(folder: Path, uids: "multiprocessing.SimpleQueue[list[int]]") -> None:
    book = AccountBook(folder / "identity.sqlite")
    uids.put([book.sign_in("local", str(n), f"u{n}", "").uid for n in range(10)])
