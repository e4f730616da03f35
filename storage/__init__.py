from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)  # storages may also live in other folders and packages
