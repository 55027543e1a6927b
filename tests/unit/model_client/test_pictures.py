import asyncio
import threading

from PIL import Image

from easyr1_fgrpo.model_client.pictures import REMEMBERED, DataUrls


async def test_a_large_picture_is_encoded_beside_the_event_loop(monkeypatch):
    threads = {}

    def encoded(image):
        threads[image.size] = threading.current_thread()
        return b"x", "image/png"

    monkeypatch.setattr("easyr1_fgrpo.model_client.pictures.judged_file", encoded)
    pictures = DataUrls()
    for size in ((20, 10), (1200, 1200)):
        await pictures.data_url(Image.new("RGB", size))
    assert threads[20, 10] is threading.current_thread()
    assert threads[1200, 1200] is not threading.current_thread()


async def test_who_stops_waiting_leaves_the_work_to_the_others(monkeypatch):
    encoded, go_on = [], threading.Event()
    monkeypatch.setattr(
        "easyr1_fgrpo.model_client.pictures.judged_file",
        lambda image: (go_on.wait(60) and encoded.append(image)) or (b"x", "image/png"),
    )
    pictures, picture = DataUrls(), Image.new("RGB", (200, 200))
    waiting = [asyncio.create_task(pictures.data_url(picture)) for _ in range(3)]
    await asyncio.sleep(0.1)
    waiting[0].cancel()
    await asyncio.sleep(0)
    go_on.set()
    first, *others = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(first, asyncio.CancelledError)
    assert others == ["data:image/png;base64,eA=="] * 2
    assert len(encoded) == 1


async def test_only_the_last_pictures_are_remembered(monkeypatch):
    encoded = []
    monkeypatch.setattr(
        "easyr1_fgrpo.model_client.pictures.judged_file", lambda image: encoded.append(image) or (b"x", "image/png")
    )
    pictures, images = DataUrls(), [Image.new("RGB", (1 + n, 1)) for n in range(REMEMBERED + 1)]
    for image in [*images, images[-1], images[0]]:
        await pictures.data_url(image)
    assert len(encoded) == REMEMBERED + 2
