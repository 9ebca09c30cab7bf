"""`python -m functions.runtime.migrate` brings the schema up to date and says what it did."""

import sys

from functions.model.errors import Unavailable
from functions.runtime import settings
from functions.stores import postgres
from serving.environment import SettingsError


def main() -> None:
    try:
        wanted = settings.load("migrate")
        applied = postgres.migrate(wanted.database_url)
    except (SettingsError, Unavailable) as error:
        sys.exit(f"migrate: {error}")
    sys.stdout.write(f"migrate: {', '.join(applied) or 'nothing to do'}\n")


if __name__ == "__main__":
    main()
