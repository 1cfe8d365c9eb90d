"""Four tasks of a shop. One of them leaks; which one, and in which line, taskd is to find out."""

from __future__ import annotations

import json
import random
import time
from collections import OrderedDict

from taskd import task

LATENCY = 0.05
"""Seconds that the shop's neighbours take to answer."""

_prices: OrderedDict[int, str] = OrderedDict()
_seen: dict[str, list[dict[str, object]]] = {}


@task
def send_receipt(order: int) -> None:
    """Make a mail and hand it over."""
    lines = [f"order {order}, item {item}: {order * item % 97} EUR" for item in range(200)]
    time.sleep(LATENCY)
    "\n".join(lines).encode()


@task
def refresh_price(article: int) -> None:
    """Ask for a price and keep it in a cache, which is bounded: no leak."""
    time.sleep(LATENCY)
    _prices[article] = f"{article % 89}.90 EUR".rjust(500)
    while len(_prices) > 500:
        _prices.popitem(last=False)


@task
def sync_catalog(shop: int) -> None:
    """Fetch a shop's catalogue and see what has changed since the last time."""
    time.sleep(LATENCY)
    articles = fetch_articles(shop)
    fingerprint = f"{shop}:{random.getrandbits(64):x}"  # it was meant to be the same each time
    _seen[fingerprint] = articles


@task
def resize_image(image: int) -> None:
    """Hold a few megabytes for a moment: no leak either."""
    pixels = bytearray(random.randrange(1_000_000, 3_000_000))
    time.sleep(LATENCY)
    pixels[image % len(pixels)] = 255


def fetch_articles(shop: int) -> list[dict[str, object]]:
    """What a shop has to sell, as it would come over the network."""
    answer = json.dumps([{"id": shop + n, "name": f"article {n}", "stock": n} for n in range(60)])
    articles: list[dict[str, object]] = json.loads(answer)
    return articles
