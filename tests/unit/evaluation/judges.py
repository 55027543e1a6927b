"""A small judge for tests, which the command line can be told to import."""

from easyr1_fgrpo.judges.protocol import Label, Question, Verdict


class TextJudge:
    """Reads its labels from the text it judges."""

    name = "text"

    def __init__(self, grounding="CORRECT"):
        self.grounding = Label(grounding)

    async def ask(self, request):
        if request.kind is Question.GROUNDING:
            return Verdict(self.grounding, self.name)
        return Verdict(Label.YES if f"answer is {request.answer}." in request.context else Label.NO, self.name)
