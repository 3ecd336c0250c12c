"""The lists of mutants fit the source as it is: whoever changes a line that stands there is told at once."""

from importlib import import_module

from tests.mutants import PROJECT, all_mutants, misplaced
from tests.mutation import Mutant, explanations


def test_each_named_mutant_changes_one_place():
    assert misplaced(all_mutants()) == []


def test_there_are_at_least_thirty_named_mutants_each_with_a_sentence_of_its_own():
    mutants = all_mutants()
    assert len({mutant.name for mutant in mutants}) == len({mutant.says for mutant in mutants}) == len(mutants) >= 30
    assert all(mutant.old != mutant.new for mutant in mutants)


def test_the_tests_that_should_catch_a_named_mutant_are_there():
    for test in {test for mutant in all_mutants() for test in mutant.tests}:
        file, _, name = test.partition("::")
        assert f"def {name}" in (PROJECT / file).read_text("utf-8"), test


def test_an_explained_survivor_is_in_a_function_that_is_there():
    for explanation in explanations().values():
        module, *names = explanation.place.split(".")
        found = import_module(f"simbus.rabbitmq.{module}")
        for name in names:
            found = getattr(found, name)
        assert callable(found), explanation.place


def test_a_mutant_s_name_tells_its_place():
    assert Mutant("simbus.rabbitmq.queues.xǁQueueǁ_join__mutmut_3", "killed").place == "queues.Queue._join"
    assert Mutant("simbus.rabbitmq.dead_letters.x__to_front__mutmut_12", "survived").place == "dead_letters._to_front"
    assert Mutant("simbus.rabbitmq.queues.xǁQueueǁ__post_init____mutmut_1", "killed").place == "queues.Queue.__post_init__"
