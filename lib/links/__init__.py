from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)  # more of it may live in other folders and packages
