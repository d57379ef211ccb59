"""What the shop's customers write about, with the instructions, actions and articles for it."""

from typing import Final

from applyrate.demo.agent import Instruction, Topic


def _articles(stem: str, subjects: str) -> tuple[str, ...]:
    return tuple(f"kb-{stem}-{subject}" for subject in subjects.split())


_COUNTRIES: Final = (
    "germany france netherlands austria belgium sweden denmark poland italy spain czechia finland "
    "ireland norway portugal switzerland greece hungary romania slovakia slovenia croatia estonia "
    "latvia lithuania luxembourg"
)
_CATEGORIES: Final = (
    "sofas beds tables chairs wardrobes mattresses rugs lamps shelves desks dressers armchairs "
    "outdoor bookcases mirrors stools cushions storage"
)
_FAMILIES: Final = (
    "birch alder fjord oakley heath pine willow maple cedar dune elm fern hazel ivy juniper larch "
    "linden meadow moss reed rowan spruce tarn thistle vale brook"
)
_MATERIALS: Final = (
    "oak linen leather wool walnut velvet cotton steel marble rattan glass bamboo boucle ash brass "
    "ceramic jute"
)

TOPICS: Final = (
    Topic(
        weight=26,
        handoff=0.02,
        instructions=(
            Instruction("order-status", 0.58),
            Instruction("explain-delays", 0.24),
            Instruction("courier-strike", 0.31, since_age=70, dead_age=51),
        ),
        actions=(("lookup_order", 0.96), ("track_parcel", 0.71)),
        articles=_articles("delivery-times", _COUNTRIES)
        + _articles("tracking", "how-it-works states not-moving two-parcels pickup-points"),
        messages=(
            "Your order {order} left our warehouse and should reach you on {weekday}.",
            "The parcel for {order} is in {city} now. The courier delivers it on {weekday}.",
            "Order {order} is still being packed, {name}. I will keep it in view for you.",
        ),
    ),
    Topic(
        weight=10,
        handoff=0.21,
        instructions=(
            Instruction("lost-parcels", 0.37, rewritten_age=47, applied_before=0.45),
            Instruction("damaged-on-arrival", 0.33),
            Instruction("ask-for-photos", 0.46),
        ),
        actions=(("lookup_order", 0.9), ("track_parcel", 0.48), ("issue_refund", 0.12)),
        articles=_articles("damage", _CATEGORIES)
        + _articles("lost-parcel", "search-request waiting-time claim replacement"),
        messages=(
            "I am sorry about the damage, {name}. A replacement for {order} is on its way.",
            "We asked the courier to search for {order} and hear back within three days.",
            "Thank you for the photos. I passed them on with your order {order}.",
        ),
    ),
    Topic(
        weight=15,
        handoff=0.03,
        instructions=(
            Instruction("return-window", 0.44, since_age=30),
            Instruction("return-window-14-days", 0.42, until_age=30),
            Instruction("return-labels", 0.39),
            Instruction("bulky-returns", 0.12),
        ),
        actions=(("lookup_order", 0.88), ("create_return_label", 0.63)),
        articles=_articles("returns", _CATEGORIES)
        + _articles("return-shipping", "label pickup costs packaging drop-off"),
        messages=(
            "Here is your return label for {order}. Drop the parcel off by {weekday}.",
            "You can return the {product} within 30 days, {name}. Shall I make a label?",
            "We collect bulky items at your door. Would {weekday} suit you?",
        ),
    ),
    Topic(
        weight=12,
        handoff=0.07,
        instructions=(
            Instruction("refund-policy", 0.52, rewritten_age=21, applied_before=0.29),
            Instruction("refund-timing", 0.29),
            Instruction("refund-over-500", 0.05),
            Instruction("cheque-refunds", 0),
        ),
        actions=(("lookup_order", 0.93), ("issue_refund", 0.57)),
        articles=_articles("refunds", "timing card paypal transfer gift-card partial shipping fees")
        + _articles("payment", "invoice instalments card-declined currencies deposit"),
        messages=(
            "Your refund for {order} is on its way. It takes three to five working days.",
            "I refunded {amount} to the card you paid with, {name}.",
            "The refund for {order} was sent on {weekday}; your bank may need two more days.",
        ),
    ),
    Topic(
        weight=13,
        handoff=0.01,
        instructions=(
            Instruction("product-advice", 0.41),
            Instruction("do-not-promise-restocks", 0.17),
            Instruction("spring-sale", 0.36, since_age=80, dead_age=62),
        ),
        actions=(("check_stock", 0.66),),
        articles=_articles("sofa", _FAMILIES)
        + _articles("table", _FAMILIES)
        + _articles("bed", _FAMILIES)
        + _articles("shelf", _FAMILIES)
        + _articles("materials", _MATERIALS),
        messages=(
            "The {product} is in stock and ships within two days.",
            "The {product} is 84 cm high and 190 cm wide, so it fits your wall.",
            "We do not know yet when the {product} comes back, {name}.",
        ),
    ),
    Topic(
        weight=8,
        handoff=0.04,
        instructions=(
            Instruction("assembly-help", 0.55),
            Instruction("missing-parts", 0.26),
        ),
        actions=(("lookup_order", 0.2),),
        articles=_articles("assembly", _FAMILIES) + _articles("care", _MATERIALS),
        messages=(
            "Turn the side panel round: the two small holes of the {product} face the wall.",
            "Wipe it with a damp cloth only, {name}; soap dulls the finish.",
            "I noted the missing screws for {order}. They arrive on {weekday}.",
        ),
    ),
    Topic(
        weight=4,
        handoff=0.1,
        instructions=(
            Instruction("warranty-claims", 0.49),
            Instruction("warranty-needs-receipt", 0.31),
        ),
        actions=(("lookup_order", 0.74), ("open_warranty_case", 0.68)),
        articles=_articles("warranty", _CATEGORIES),
        messages=(
            "I opened a warranty case for the {product}. A colleague takes it from here.",
            "The warranty of {order} covers the frame for five years, {name}.",
        ),
    ),
    Topic(
        weight=5,
        handoff=0.05,
        instructions=(
            Instruction("cancel-before-shipping", 0.57),
            Instruction("cancel-after-shipping", 0.22),
        ),
        actions=(("lookup_order", 0.97), ("cancel_order", 0.61)),
        articles=_articles("cancelling", "before-shipping after-shipping custom-made parts-of-it"),
        messages=(
            "Order {order} is cancelled, {name}. You will not be charged.",
            "{order} has left already, so please refuse the parcel at your door.",
        ),
    ),
    Topic(
        weight=4,
        handoff=0.02,
        instructions=(
            Instruction("voucher-rules", 0.5),
            Instruction("loyalty-tiers", 0.14),
            Instruction("legacy-loyalty-card", 0),
        ),
        actions=(("check_voucher", 0.72), ("redeem_voucher", 0.72)),
        articles=_articles("vouchers", "rules expired combining gift-cards newsletter friends"),
        messages=(
            "Your voucher is valid until the end of the month, {name}.",
            "I added the voucher to {order}: {amount} less to pay.",
        ),
    ),
    Topic(
        weight=6,
        handoff=0.02,
        instructions=(
            Instruction("verify-before-changes", 0.63),
            Instruction("address-after-shipping", 0.21),
        ),
        actions=(("lookup_order", 0.55), ("update_address", 0.47), ("reset_password", 0.33)),
        articles=_articles("account", "password email address newsletter delete two-factor guest"),
        messages=(
            "The address of {order} is changed, {name}.",
            "I sent you a link to choose a new password. It is good for one hour.",
        ),
    ),
    Topic(
        weight=3,
        handoff=0.05,
        instructions=(
            Instruction("business-invoices", 0.4),
            Instruction("fax-orders", 0),
        ),
        actions=(("lookup_order", 0.69), ("send_invoice", 0.83)),
        articles=_articles("invoices", "copy vat-id business corrections reverse-charge quotes"),
        messages=("The invoice for {order} is in your mailbox, {name}.",),
    ),
    Topic(
        weight=2,
        handoff=0.64,
        instructions=(
            Instruction("calm-first", 0.72),
            Instruction("goodwill-up-to-20-euros", 0.18),
        ),
        actions=(("lookup_order", 0.51), ("issue_refund", 0.08)),
        articles=_articles("complaints", "process response-times goodwill reviews"),
        messages=(
            "I understand that this is annoying, {name}, and I would like to put it right.",
            "As a small apology I added {amount} to your account.",
        ),
    ),
)
