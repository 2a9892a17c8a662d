"""Plain calls, without async: `python examples/sync_script.py`."""

from concurrent.futures import ThreadPoolExecutor

from media_gateway import MediaContent, open_sync_gateway

SERIES = {
    1396: ("Breaking Bad", "A chemistry teacher who is dying turns to making drugs, and to crime."),
    2316: ("The Office", "A film crew follows the staff of a paper company, led by a boss who wants to be loved."),
    1399: ("Game of Thrones", "Noble families fight for a throne while an old enemy wakes in the north."),
}
QUESTIONS = ("awkward humour at work", "knights and dragons", "a double life")

with open_sync_gateway() as gateway:
    gateway.add(
        [
            MediaContent(id=number, media_type="tv", title=title, overview=overview)
            for number, (title, overview) in SERIES.items()
        ]
    )
    # One gateway serves any number of threads.
    with ThreadPoolExecutor() as pool:
        results = pool.map(lambda question: gateway.search(question, k=1), QUESTIONS)
        for question, result in zip(QUESTIONS, results, strict=True):
            print(f"{question}: {result.hits[0].metadata['title']}")
    print(f"{gateway.stats().count} series")
