"""The dashboard: pages under ``/dashboard`` that ask the store what the API asks, over no HTTP.

How a page is made:

- **Handler.** An ``async def`` with a Litestar route, listed in ``PAGES`` of ``routes.py``; its
  path begins with ``/dashboard``. Before it, ``admission`` has found the caller of the session
  (``request.caller``: its ``org``, and ``request.caller.require(scopes)``, which ends in a page
  that names the missing scope), and has checked the CSRF token of everything but GET.
- **Inputs.** ``read_view(request)`` gives the type and the window that the query names
  (``views``, ``windows``); ``read_form(request)`` gives the fields of a form (``forms``).
- **Questions.** The store's own; one that scans runs in a reader thread:
  ``await in_reader_thread(request, partial(store.ranked, ...))``. Writing goes through
  ``services.commits.write``.
- **Answer.** ``render(request, "keys.html", **context)`` (``pages``). A template extends
  ``layout.html`` and fills ``title``, ``heading``, ``controls`` and ``content``; ``macros.html``
  has tiles, bars, charts, the window picker and empty states. Nothing has a ``style`` attribute
  or a script of its own: the content security policy would drop it.
- **Links.** ``view.url(path, **changes)`` keeps the type and the window. Links and GET forms inside
  ``<main>`` replace only ``<main>`` and the navigation where htmx is there, and work without it.
- **Changes.** ``<form method="post">`` with ``{{ csrf_field() }}`` inside; answer with a page, or
  with ``Redirect(..., status_code=303)``.
- **Charts.** A ``Chart`` value (``charts``) shown by the macro ``chart``: a table that a reader of
  any kind can open, and a drawing where the bundle is there.
- **Figures.** Filters: those of ``pages.py``, written by ``figures``.
"""
