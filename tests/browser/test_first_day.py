"""The first day: from the printed link to a trained model that is still there after a restart.

A real browser against a labhub that deploy/up brought up on a real engine. It is one story, told
in order; tests/artefacts keeps a picture of every station.
"""

import re
import time
from pathlib import Path

import docker
import pytest
from playwright.sync_api import Page, expect

from tests.lib.browser import complaints, picture
from tests.lib.deployed import PASSWORD, Deployed
from tests.lib.jupyterlab import OPEN_SECONDS, Lab, Notebook

TENSORBOARD_SECONDS = 180
HUB_SECONDS = 60
TRAIN = """\
import json, os, pathlib, sys
import numpy as np, tensorflow as tf
assert tf.__version__ == "2.9.0", tf.__version__
assert not [folder for folder in sys.path if folder.startswith("/opt/labserver")], sys.path
x = np.random.default_rng(0).normal(size=(512, 4)).astype("float32")
y = (x.sum(axis=1) > 0).astype("float32")
layer = tf.keras.layers.Dense
model = tf.keras.Sequential([layer(16, "relu"), layer(1, "sigmoid")])
model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
board = tf.keras.callbacks.TensorBoard("logs")
losses = model.fit(x, y, epochs=4, verbose=0, callbacks=[board]).history["loss"]
assert losses[-1] < losses[0], losses
pathlib.Path("losses.json").write_text(json.dumps(losses))
print("trained with", tf.__version__, "by", os.path.realpath(sys.executable))"""
WHICH = "import os, sys; print(os.path.realpath(sys.executable))"
READ = 'import json; print(len(json.load(open("losses.json"))), "losses are still here")'


@pytest.mark.usefixtures("engine")
def test_from_the_setup_link_to_a_model_that_lasts(
    page: Page, instance: Deployed, artefacts: Path
) -> None:
    """The proof of the first five minutes."""
    choose_a_password(page, instance, artefacts)
    lab = start(page, artefacts)
    expect_image_files_in_view(lab)
    notebook = lab.new_notebook()  # from where Lab opens: it is made in the folder that lasts
    trained = notebook.run(TRAIN)
    assert trained == f"trained with 2.9.0 by {python_of_the_image(instance)}"
    notebook.save_as("first.ipynb")
    picture(page, "day-5-trained", artefacts)
    expect_limits_in_view(page, artefacts)
    open_tensorboard(lab, artefacts)
    keep_the_kernel_over_a_restart_of_the_hub(notebook, instance)
    stop(page, instance, artefacts)
    lab = start(page, artefacts, again=True)
    notebook = lab.open_notebook("notebooks/first.ipynb")
    expect(lab.file("losses.json")).to_be_visible()
    assert notebook.first_output() == trained
    assert notebook.run(READ) == "4 losses are still here"
    picture(page, "day-9-still-there", artefacts)


def choose_a_password(page: Page, instance: Deployed, artefacts: Path) -> None:
    """Follow the link that deploy/up printed and end at the hub's home, as an admin."""
    page.goto(instance.setup_link)
    assert complaints(page, "day-1-setup", artefacts) == []
    for field in page.locator("input[type=password]").all():
        field.fill(PASSWORD)
    page.get_by_role("button", name="Set password").click()
    reach_home(page)
    expect(page.get_by_role("link", name="Admin")).to_be_visible()
    assert complaints(page, "day-2-home", artefacts) == []


def reach_home(page: Page) -> None:
    """Sign in where that is asked for, with the password just chosen."""
    page.wait_for_url(re.compile(r"/hub/(home|login|spawn)"))
    if "/hub/login" in page.url:
        page.get_by_role("link", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Your server")


def start(page: Page, artefacts: Path, *, again: bool = False) -> Lab:
    """Press Start at home and on the spawn page, and wait for JupyterLab."""
    station = "day-8-again" if again else "day-3-spawn"
    page.get_by_role("link", name="Start", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Start your server")
    assert complaints(page, station, artefacts) == []
    page.get_by_role("button", name="Start").click()
    lab = Lab(page).ready()
    picture(page, "day-4-lab" + ("-again" if again else ""), artefacts)
    return lab


def expect_image_files_in_view(lab: Lab) -> None:
    """JupyterLab opens where the image's tutorials and the person's own folder are."""
    expect(lab.file("notebooks")).to_be_visible()
    expect(lab.file("tensorflow-tutorials")).to_be_visible()


def python_of_the_image(instance: Deployed) -> str:
    """Ask the running container which interpreter its image calls python3."""
    (server,) = instance.servers()
    container = instance.engine.containers.get(server["Id"])
    code, output = container.exec_run(["python3", "-c", WHICH])
    assert code == 0, output
    return str(output.decode().strip())


def expect_limits_in_view(page: Page, artefacts: Path) -> None:
    """CPU and memory are shown with their limits."""
    shown = page.locator("body")
    for text in (r"Mem:.*\d+ / \d+ MB", r"CPU \(limit \d+%\):"):
        expect(shown).to_contain_text(re.compile(text), timeout=OPEN_SECONDS * 1000)
    picture(page, "day-6-limits", artefacts)


def open_tensorboard(lab: Lab, artefacts: Path) -> None:
    """Open TensorBoard from the launcher; it shows the training."""
    with lab.page.context.expect_page() as opened:
        lab.card("TensorBoard").click()
    board = opened.value
    expect(board).to_have_title("TensorBoard", timeout=TENSORBOARD_SECONDS * 1000)
    expect(board.get_by_text("epoch_loss").first).to_be_visible(timeout=TENSORBOARD_SECONDS * 1000)
    picture(board, "day-7-tensorboard", artefacts)
    board.close()
    lab.page.get_by_role("tab", name="first.ipynb").click()


def keep_the_kernel_over_a_restart_of_the_hub(notebook: Notebook, instance: Deployed) -> None:
    """Restart the hub while the notebook is open: what the kernel knew, it still knows."""
    notebook.run("remembered = 41")
    hub: docker.models.containers.Container = instance.engine.containers.get(instance.hub)
    hub.restart()
    assert notebook.run("print(remembered + 1)") == "42"
    notebook.save()


def stop(page: Page, instance: Deployed, artefacts: Path) -> None:
    """Stop the server from the hub's home once the restarted hub answers."""
    deadline = time.monotonic() + HUB_SECONDS
    while not instance.answers():
        assert time.monotonic() < deadline, f"the hub did not come back within {HUB_SECONDS} s"
        time.sleep(0.2)
    page.goto(f"{instance.url}/hub/home")
    state = page.get_by_role("status").get_by_role("heading")
    expect(state).to_have_text("Running")
    assert complaints(page, "day-7-running", artefacts) == []
    page.get_by_role("button", name="Stop").click()
    expect(state).to_have_text("Not running")
    assert instance.servers() == []
