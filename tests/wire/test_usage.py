"""Usage in each spelling."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.wire.usage import Usage, merged, usage_of


class UsageTests(SynchronousTestCase):
    """Read wherever it is, never raised over."""

    def test_spellings(self) -> None:
        """Chat, responses, messages, embeddings, rerankers."""
        for document, expected in (
            ({"usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}, Usage(3, 2)),
            ({"usage": {"prompt_tokens": 3, "completion_tokens": 2, "prompt_tokens_details": None}}, Usage(3, 2)),
            (
                {"usage": {"prompt_tokens": 3, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 1}}},
                Usage(3, 2, 1),
            ),
            (
                {"usage": {"input_tokens": 3, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 1}}},
                Usage(3, 2, 1),
            ),
            ({"response": {"usage": {"input_tokens": 3, "output_tokens": 2}}}, Usage(3, 2)),
            ({"message": {"usage": {"input_tokens": 3, "cache_read_input_tokens": 1}}}, Usage(3, None, 1)),
            ({"usage": {"prompt_tokens": 3, "total_tokens": 3}}, Usage(3, None)),
            ({"usage": {"total_tokens": 9}, "results": []}, Usage(9, None)),
            ({"meta": {"tokens": {"input_tokens": 4, "output_tokens": 0}}}, Usage(4, 0)),
            ({"meta": {"billed_units": {"search_units": 1}}}, Usage(1, None)),
            ({"usage": None}, None),
            ({"usage": {"prompt_tokens": "3"}}, None),
            ({"usage": {"prompt_tokens": -1}}, None),
            ({"usage": {"prompt_tokens": True}}, None),
            ([], None),
            (None, None),
        ):
            self.assertEqual(usage_of(document), expected, document)

    def test_merged(self) -> None:
        """The later word counts, the earlier where there is none."""
        self.assertEqual(merged(Usage(3, None, 1), Usage(None, 2)), Usage(3, 2, 1))
        self.assertEqual(merged(Usage(3, 1), Usage(3, 2)), Usage(3, 2))
        self.assertEqual(merged(None, Usage(1, 1)), Usage(1, 1))
        self.assertIsNone(merged(None, None))

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=3),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["usage", "prompt_tokens", "message", "meta", "tokens"]), inner, max_size=4
                )
            ),
            max_leaves=10,
        )
    )
    def test_any_document(self, document: object) -> None:
        """Nothing that an engine says can raise, or make a count negative."""
        usage = usage_of(document)
        self.assertTrue(usage is None or all(count is None or count >= 0 for count in usage.told))
