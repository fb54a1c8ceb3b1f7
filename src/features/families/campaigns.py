"""Campaigns that addressed customers, and customers' responses."""

from __future__ import annotations

from datetime import timedelta

import ibis
import ibis.expr.types as ir

from features.families.registry import LONG_AGO_DAYS, days_since, family
from features.tables import Tables, midnight

RECENT_DAYS = 91


@family(
    needs=("campaigns", "contacts", "responses"),
    features={
        "contacts": "campaigns that addressed the customer before the cutoff; 0 for none",
        "contacts_last_91_days": "campaigns that addressed the customer in the last 91 days; 0 for none",
        "active_campaigns": "campaigns that addressed the customer and still run at the cutoff; 0 for none",
        "responses": "responses recorded before the cutoff, such as coupons redeemed; 0 for none",
        "responses_last_91_days": "responses recorded in the last 91 days; 0 for none",
        "responses_per_contact": "responses / contacts, may exceed 1; 0 for no contact",
        "responded_campaign_share": "share of the campaigns that addressed the customer and got a response; 0 for none",
        "days_since_last_contact": f"days to cutoff - 1 day, at most {LONG_AGO_DAYS}; {LONG_AGO_DAYS} for never",
        "days_since_last_response": f"days to cutoff - 1 day, at most {LONG_AGO_DAYS}; {LONG_AGO_DAYS} for never",
    },
    fallbacks={"days_since_last_contact": LONG_AGO_DAYS, "days_since_last_response": LONG_AGO_DAYS},
    ranges={"days_since_last_contact": (0, LONG_AGO_DAYS), "days_since_last_response": (0, LONG_AGO_DAYS)},
)
def campaigns(past: Tables) -> ir.Table:
    """Count contacts and responses; a campaign's end is known from its start."""
    recently = ibis.literal(past.end - timedelta(days=RECENT_DAYS))

    replies = past["responses"]
    replies = replies.mutate(day=replies.responded_at.date())
    per_reply = replies.group_by("customer_id").agg(
        responses=replies.count(),
        responses_last_91_days=replies.count(where=replies.day >= recently),
        last_response=replies.day.max(),
    )
    answered = replies.select("customer_id", "campaign_id").distinct().mutate(answered=True)
    ends = past["campaigns"].select("campaign_id", "ends_at")
    contacts = (
        past["contacts"]
        .left_join(ends, "campaign_id")
        .drop("campaign_id_right")
        .left_join(answered, ["customer_id", "campaign_id"])
    )
    contacts = contacts.mutate(day=contacts.contacted_at.date())
    per_contact = contacts.group_by("customer_id").agg(
        contacts=contacts.count(),
        contacts_last_91_days=contacts.count(where=contacts.day >= recently),
        active_campaigns=contacts.count(where=contacts.ends_at > midnight(past.end)),
        answered=contacts.count(where=contacts.answered),
        last_contact=contacts.day.max(),
    )
    # Some customers respond without a recorded contact.
    customers = per_contact.outer_join(per_reply, "customer_id")
    customers = customers.mutate(customer_id=ibis.coalesce(customers.customer_id, customers.customer_id_right))

    return customers.select(
        "customer_id",
        "contacts",
        "contacts_last_91_days",
        "active_campaigns",
        "responses",
        "responses_last_91_days",
        responses_per_contact=customers.responses / customers.contacts,
        responded_campaign_share=customers.answered / customers.contacts,
        days_since_last_contact=days_since(customers.last_contact, past),
        days_since_last_response=days_since(customers.last_response, past),
    )
