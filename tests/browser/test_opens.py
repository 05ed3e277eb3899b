"""The dashboard opens in a real browser and shows the figures; make browser tests all of it."""

from movie_stream.settings import Settings
from tests.browser.conftest import Dashboard, apart
from tests.support.web.serving import events, fill, serving


def test_the_page_shows_live_figures_and_complains_of_nothing(settings: Settings, dashboard: Dashboard) -> None:
    apart(fill(settings, events(500)))
    with serving(settings) as server:
        dashboard.open(server.address, last="all")
        dashboard.status("live")
        dashboard.tile_becomes("views", "500")
        dashboard.shown()
    assert dashboard.hosts == {server.address.removeprefix("http://")}
    assert [complaint for complaint in dashboard.complaints if "ERR_" not in complaint] == []
