"""Molecules as strings: which SMILES are molecules, and which are the same one. Needs RDKit (the extra ``rdkit``)."""

import warnings
from collections.abc import Callable

from taumem.errors import TaumemWarning

__all__ = ["canonical_smiles"]


def canonical_smiles() -> Callable[[str], str | None] | None:
    """Give the function from a SMILES to that molecule's canonical one, or to None where RDKit takes it for none.

    Without RDKit there is no such function: None, and a note says so.

    Reference: D. Weininger 1988, J. Chem. Inf. Comput. Sci. 28, 31 (SMILES).
    """
    try:
        from rdkit import Chem, rdBase
    except ImportError:
        warnings.warn(
            "RDKit is not installed: which molecules are valid is not measured, and new ones are told from training "
            "molecules as they are written. pip install 'taumem[rdkit]' changes both.",
            TaumemWarning,
            stacklevel=2,
        )
        return None

    def canonical(smiles: str) -> str | None:
        if smiles.split() != [smiles]:  # what stands behind a blank RDKit takes for a name, and reads no further
            return None
        with rdBase.BlockLogs():  # of every molecule that is none it would say why
            molecule = Chem.MolFromSmiles(smiles)
            return None if molecule is None else str(Chem.MolToSmiles(molecule))

    return canonical
