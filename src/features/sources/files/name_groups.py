"""Groups of products by the words of their names, where a shop has no categories."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

FEWEST = 5  # products of a group
LARGEST = 0.2  # share of the products that a word may name: more say nothing
SHORTEST = 3  # letters
# what a thing is like, how it is sold and what joins words, in English, German, French, Spanish, Portuguese, Italian
NO_THINGS = (
    "and the with for from of in on by to set pack packs pair assorted design style small medium large mini extra new "
    "red blue green white black pink grey gray yellow orange purple brown ivory cream gold silver colour color "
    "und mit für aus der die das von stück klein mittel groß rot blau grün weiß schwarz rosa grau gelb braun "
    "avec pour les des petit petite moyen grand grande rouge bleu bleue vert verte blanc blanche noir noire rose gris "
    "con para los las del pequeño mediano rojo azul verde blanco negro rosa gris amarillo marrón "
    "com dos das pequeno médio vermelho branco preto cinza amarelo piccolo medio rosso bianco nero grigio giallo"
)


def with_name_groups(products: ir.Table) -> ir.Table:
    """Return products with a category where they have none: the word of their name that most products share.

    Words have at least three letters, are no colours, sizes or words that join others, and are shared by at least five
    products and at most a fifth of them. Of equally common words the first by the alphabet counts. Other products keep
    no category. The groups are made from all products, so they are facts of unknown date, as categories are.

    Parameters
    ----------
    products : ibis table
        product_id, name and, where it is known, category.
    """
    if "category" not in products.columns:
        products = products.mutate(category=ibis.null("string"))
    words = products.filter(products.name.notnull()).select("product_id", name=products.name.lower())
    words = words.mutate(word=words.name.re_split(r"[^\p{L}]+").unnest()).select("product_id", "word").distinct()
    words = words.filter((words.word.length() >= SHORTEST) & words.word.notin(NO_THINGS.split()))
    number = words.product_id.nunique().as_scalar()
    shared = words.group_by("word").aggregate(products=words.count())
    shared = shared.filter((shared.products >= FEWEST) & (shared.products <= LARGEST * number))
    ranked = words.inner_join(shared, "word")
    first = ibis.window(group_by="product_id", order_by=[ibis.desc("products"), "word"])
    ranked = ranked.mutate(place=ibis.row_number().over(first))
    groups = ranked.filter(ranked.place == 0).select(of_product="product_id", name_group=ranked.word.upper())
    both = products.left_join(groups, products.product_id == groups.of_product)
    return both.mutate(category=ibis.coalesce(both.category, both.name_group)).drop("of_product", "name_group")
