"""OData v4 without HTTP: what there is, what is asked, and what MongoDB is asked for it. Nothing in here asks MongoDB.

Start with model.py, the entity sets that RESULTS amounts to, and csdl.py, which describes them. address.py and
options.py read what a request asks. A filter is read by syntax.py, with literals.py for its values; operands.py says
what type each of its parts has, and conditions.py and filters.py make a filter of MongoDB of it. pages.py puts
everything together as one pipeline, and payload.py writes what it finds. refusals.py is what cannot be answered.
"""
