"""The methods of both clients: every operation of the API."""

from applyrate.client import operations, questions
from applyrate.client.calls import Listing, Operation


class Methods:
    """What either client can do; each carries it out in its own way."""

    summary = Operation(questions.summary)
    resources = Listing(questions.resources)
    resource_page = Operation(questions.resource_page)
    conversations = Listing(questions.conversations)
    conversation_page = Operation(questions.conversation_page)
    compare = Operation(questions.compare)
    timeline = Operation(questions.timeline)
    outcomes = Operation(questions.outcomes)
    unused = Listing(questions.unused)
    unused_page = Operation(questions.unused_page)
    conversation_usage = Operation(questions.conversation_usage)
    usages = Listing(questions.usages)
    changes = Listing(questions.changes)
    resource_changes = Listing(questions.resource_changes)
    set_resources = Operation(operations.set_resources)
    record = Operation(operations.record)
    set_conversation = Operation(operations.set_conversation)
    erase_conversation = Operation(operations.erase_conversation)
    unattributed = Operation(questions.unattributed)
    rejected = Listing(questions.rejected)
    rejected_page = Operation(questions.rejected_page)
    create_key = Operation(operations.create_key)
    keys = Operation(operations.keys)
    revoke_key = Operation(operations.revoke_key)
    audit = Listing(questions.audit)
    audit_page = Operation(questions.audit_page)
    health = Operation(operations.health)
    document = Operation(operations.document)
