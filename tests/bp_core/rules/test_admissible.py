"""What a model may add to a prompt."""

from bp_core.rules.admissible import admissible
from bp_core.rules.scene import adds_people, has_people
from bp_core.text.words import clauses


def admitted(tail, raw, blocked=None):
    return admissible(clauses(tail), raw, blocked)


def test_a_phrase_that_repeats_a_word_of_the_prompt_is_left_out():
    assert admitted("red flowers, soft light", "two red apples") == ["soft light"]


def test_inflection_does_not_hide_a_repetition():
    assert admitted("apple trees, riding away, soft light", "apples, a man rides") == ["soft light"]


def test_what_was_said_is_not_said_again():
    assert admitted("sharp focus, detailed, sharp, in sharp focus, fog", "a cat") == [
        "sharp focus",
        "detailed",
        "fog",
    ]


def test_an_earlier_phrase_is_not_said_again_with_more_words():
    tail = "beautiful, beautiful scene, 50mm, 50mm lens, soft light, cinematic lighting"
    assert admitted(tail, "a cat") == ["beautiful", "50mm", "soft light", "cinematic lighting"]


def test_the_same_is_not_said_louder():
    tail = "highly realistic, ultra realistic, super highly realistic, hyper detailed, fog"
    assert admitted(tail, "a cat") == ["highly realistic", "hyper detailed", "fog"]


def test_a_phrase_that_stammers_is_left_out():
    tail = "a cup with a cup, very very aesthetic, on it is on it is fog, golden hour light"
    assert admitted(tail, "a cat in a garden") == ["golden hour light"]


def test_three_words_in_a_row_do_not_come_twice():
    tail = "trending on artstation, 8k trending on artstation, fog"
    assert admitted(tail, "a cat") == ["trending on artstation", "fog"]


def test_no_person_comes_into_a_prompt_without_one():
    assert admitted("beautiful face, portrait, her dress, mist", "a lighthouse") == ["mist"]
    assert admitted("beautiful face, mist", "an old sailor woman") == ["beautiful face", "mist"]


def test_roles_welcome_people():
    assert has_people("a knight in the rain")
    assert not has_people("a knitted scarf on a bench")
    assert adds_people("blue eyes")
    assert not adds_people("soft morning light")
    assert adds_people("wearing a hat", "a bowl of fruit") and adds_people("soft smile", "a mug")
    assert not adds_people("wearing a tie", "a llama wearing sunglasses")


def test_a_thing_named_after_a_part_of_somebody_is_nobody():
    assert not has_people("a hair drier beside a hand towel")
    assert not has_people("the clock face of a tower, a hairbrush, a model train")
    assert has_people("long hair") and has_people("a model with a train of silk")
    assert admitted("symmetrical face, soft light", "a hair dryer") == ["soft light"]


def test_blocked_phrases_are_left_out():
    assert admitted("fog, neon", "a cat", lambda phrase: phrase == "neon") == ["fog"]


def test_fragments_without_a_content_word_are_left_out():
    assert admitted("and the, of, fog", "a cat") == ["fog"]


def test_nobody_says_very_twice():
    tail = "very moody, highly detailed, very realistic, ultra hd, highly symmetrical"
    assert admitted(tail, "a cat") == ["very moody", "highly detailed", "ultra hd"]


def test_a_photograph_has_three_names_for_one_thing():
    assert admitted("professional photography, professional photograph, 85mm photo", "a man") == [
        "professional photography"
    ]
    assert admitted("photo, dslr photograph", "a house") == ["photo"]
    # The artist's own is theirs: what is added to it may tell how it was taken.
    assert admitted("professional photography", "a photo of a house") != []
    assert admitted("photo", "a photo of a house") == []


def test_praise_size_and_realism_are_named_once():
    tail = "gorgeous, 8k, breathtaking, ultra hd, hyper realism, photorealistic, 4k uhd, very real"
    assert admitted(tail, "a castle") == ["gorgeous", "8k", "hyper realism"]
    tail = "octane render, unreal engine, 3d render, deviantart, cg society, intricate, detailed"
    assert admitted(tail, "a castle") == ["octane render", "deviantart", "intricate"]
    tail = "shallow focus, bokeh, shallow depth of field, moody, very atmospheric, sunny day, sunny"
    assert admitted(tail, "a castle") == ["shallow focus", "moody", "sunny day"]
    tail = "canon eos 5d, nikon, 35mm, 85mm lens, professional photography, photographer"
    assert admitted(f"{tail}, shallow depth, dof", "a castle") == [
        "canon eos 5d",
        "35mm",
        "professional photography",
        "shallow depth",
    ]
    # What the artist said counts as well; what says more than the same may be added.
    assert admitted("photorealistic, ultra hd", "a realistic cat, 8k") == []
    assert admitted("gorgeous lighting", "a beautiful cat") == ["gorgeous lighting"]


def test_no_weather_inside_a_cathedral():
    tail = "fluffy clouds, sunset, soft light"
    assert admitted(tail, "the interior of a gothic cathedral") == ["soft light"]
    assert admitted("sunset", "a gothic cathedral") == ["sunset"]


def test_the_artists_medium_is_kept():
    photographic = "hyperrealistic, nikon, 35mm lens, dslr, soft light"
    drawn = [
        "a watercolor of a sparrow", "a pixel art castle", "a low poly fox", "an anime girl",
        "a child's drawing of a house", "an engraving of a ship",
    ]  # fmt: skip
    for raw in drawn:
        assert admitted(photographic, raw) == ["soft light"]
    assert admitted("octane render, matte painting, fog", "a watercolor sparrow") == ["fog"]
    assert admitted("digital painting, realistic, fog", "a pixel-art castle") == ["fog"]
    assert admitted("octane render, fog", "a low-poly fox") == ["octane render", "fog"]
    assert admitted("matte painting, nikon 85mm, fog", "a castle") == ["matte painting", "fog"]
    assert admitted("sharp focus, soft focus", "a castle") == ["sharp focus"]
    assert admitted("nikon, photorealistic, bold lines", "a travel poster") == ["bold lines"]


def test_who_owns_a_thing_is_not_seen():
    tail = "long hair, gorgeous face, soft light"
    for raw in (
        "a wizard's desk",
        "a child’s drawing of a house",
        "a viking longship",
        "pirate ships",
    ):
        assert admitted(tail, raw) == ["soft light"]
    assert admitted("gorgeous face, fog", "a woman's portrait") == ["gorgeous face", "fog"]
    assert admitted("long hair, fog", "she's a pirate captain") == ["long hair", "fog"]


def test_only_what_is_soft_is_fluffy():
    tail = "fluffy, soft fur, soft light"
    assert admitted(tail, "a word written in the sand") == ["soft light"]
    assert admitted(tail, "a racing motorcycle") == ["soft light"]
    assert admitted("fluffy, fog", "a kitten") == ["fluffy", "fog"]
    assert admitted("fluffy clouds", "a longship at sea") == ["fluffy clouds"]


def test_blood_wants_a_reason():
    assert admitted("turbulent blood lake, fog", "a stone bridge") == ["fog"]
    assert admitted("turbulent blood lake", "a vampire at night") == ["turbulent blood lake"]


def test_a_painting_has_no_depth_of_field():
    assert admitted("shallow depth of field, fog", "oil painting of a storm") == ["fog"]
    assert admitted("bokeh, fog", "a digital painting of a storm") == ["bokeh", "fog"]


def test_a_depth_of_field_is_no_field():
    assert admitted("shallow depth of field", "a cup on a table") == ["shallow depth of field"]
    assert admitted("golden hour", "a cup on a table, shallow depth of field") == []


def test_a_comic_is_drawn_and_a_room_is_not_seen_from_above():
    assert admitted("octane render, fog", "comic book page of a tiger") == ["fog"]
    assert admitted("aerial view, moody", "the inside of a subway train") == ["moody"]


def test_weather_that_the_place_has_not():
    assert admitted("fluffy clouds, sunset, tranquil, moody", "a ship in a storm") == ["moody"]
    assert admitted("sunset, fluffy clouds, moody", "an underwater city") == ["moody"]
    assert admitted("fluffy clouds, dust", "a flower on the moon's surface") == ["dust"]
    assert admitted("snow, sunny day", "a desert highway") == ["sunny day"]
    assert admitted("sunset, sunny weather", "a lone tree") == ["sunset"]
    assert admitted("fluffy clouds", "a full moon over a castle") == ["fluffy clouds"]


def test_oil_on_canvas_is_no_photograph():
    assert admitted("dslr, 35mm lens, vibrant", "lemons, oil on canvas") == ["vibrant"]


def test_makeup_is_not_for_men():
    assert admitted("makeup, smile", "portrait of a man with a beard") == ["smile"]
    assert admitted("makeup, smile", "portrait of a woman") == ["makeup", "smile"]


def test_a_samurai_is_fierce_and_not_cute():
    assert admitted("super cute, fierce", "a samurai") == ["fierce"]
    assert admitted("super cute", "a kitten dressed as a samurai") == ["super cute"]


def test_no_sunshine_in_the_fog():
    assert admitted("sunny weather, moody", "an abandoned carousel in the fog") == ["moody"]


def test_phrases_that_wait_for_more():
    assert admitted("surrounded, wearing, fog", "a knight") == ["fog"]


def test_only_beasts_have_claws():
    assert admitted("sharp claws, fog", "three older men") == ["fog"]
    assert admitted("sharp claws, fog", "a dragon") == ["sharp claws", "fog"]


def test_it_is_one_season():
    assert admitted("autumn, winter, snow, fog", "a giraffe") == ["autumn", "fog"]
    assert admitted("winter, flowers, fireflies, mist", "a castle") == ["winter", "mist"]


def test_it_is_one_hour():
    assert admitted("golden hour, sunset, night, nighttime", "a castle") == ["golden hour"]
    assert admitted("night, golden hour light, moonlit", "a castle") == ["night", "moonlit"]
    assert admitted("sunset, vibrant", "a castle at golden hour") == ["vibrant"]
    assert admitted("golden hour", "a bathroom") == []


def test_the_old_have_no_smooth_skin():
    tail = "smooth skin, young, soft light"
    assert admitted(tail, "portrait of an elderly woman") == ["soft light"]


def test_nobody_has_two_faces():
    tail = "gorgeous face, pretty face, very long hair, curly hair, soft skin"
    assert admitted(tail, "a woman") == ["gorgeous face", "very long hair", "soft skin"]


def test_a_face_far_off_is_not_seen():
    far = ["a man in a wetsuit holding up a surfboard", "two girls eating food", "a boy on a bike"]
    near = [
        "a woman", "a princess on a balcony", "close-up of a man in the rain",
        "a girl with a pearl", "a woman with red hair sitting on a bench",
        "an old woman wearing a hat", "painting of an old man",
    ]  # fmt: skip
    assert all(adds_people("perfect lips", raw) and adds_people("pretty face", raw) for raw in far)
    assert not any(adds_people("gorgeous face", raw) for raw in near)
    assert adds_people("blue eyes", far[0]) and adds_people("long hair", far[1])
    assert not adds_people("soft smile", far[1])


def test_an_animals_portrait_is_no_reason_for_hair():
    tail = "long hair, soft smile, pale skin, 85mm"
    assert admitted(tail, "portrait of a stoic schnauzer") == ["85mm"]
    assert admitted("long hair", "portrait of a woman and a dog") == ["long hair"]
    assert admitted("brown eyes", "portrait of a dog") == ["brown eyes"]


def test_phrases_that_break_off_are_left_out():
    assert admitted("trending on, with a, fog, close up", "a cat") == ["fog", "close up"]
    assert admitted("a gorgeous, in a fantastic, a forest, gorgeous", "a cat") == ["gorgeous"]
    assert admitted("in a dark forest, a gorgeous", "a fox") == ["in a dark forest"]
    tail = "very realism, extremely photography, very high quality, hyper realism"
    assert admitted(tail, "a cat") == ["very high quality", "hyper realism"]
    tail = (
        "very lens, very inspir, extremely sky, very, highly intricately detailed, very sharp focus"
    )
    assert admitted(tail, "a cat") == ["highly intricately detailed", "very sharp focus"]
    assert admitted("verymm lens, award-, award winning", "a cat") == ["award winning"]
    tail = "wearing a fluffy hair, wearing a hat, fluffy hair"
    assert admitted(tail, "a girl") == ["wearing a hat", "fluffy hair"]
    assert admitted("medium length, full length, fog", "a zebra") == ["full length", "fog"]
    assert admitted("medium length hair, medium length smile", "a girl") == ["medium length hair"]


def test_a_portrait_is_made_only_of_what_was_one():
    assert adds_people("detailed portrait", "a man riding a wave")
    assert not adds_people("soft smile", "a man riding a wave")
    assert not adds_people("detailed portrait", "close-up of a man")
    assert admitted("portrait, soft light", "two surfers and a woman") == ["soft light"]


def test_a_sunset_needs_a_sky():
    assert admitted("sunset, golden hour, soft light", "a cup of coffee") == ["soft light"]
    assert admitted("sunset, soft light", "a lighthouse") == ["sunset", "soft light"]
    assert admitted("sunset, soft light", "a view of a bathroom") == ["soft light"]
    assert admitted("sunset, soft light", "the view from a house") == ["sunset", "soft light"]


def test_weather_needs_a_sky():
    tail = "sunny weather, beautiful clouds, full moon, dark night, soft light"
    assert admitted(tail, "two decorated cakes in boxes") == ["soft light"]
    assert admitted("sunny weather, soft light", "four zebras") == ["sunny weather", "soft light"]
    assert admitted("sunny weather, soft light", "a cat in a sink") == ["soft light"]


def test_nobody_joins_those_who_are_there():
    assert admitted("beautiful woman, soft smile", "a man on a skateboard") == ["soft smile"]
    assert admitted("old man, blue eyes", "a man and a dog") == ["blue eyes"]
    assert admitted("family, soft light", "boys in front of a building") == ["soft light"]
    assert not adds_people("gorgeous face", "a family")


def test_a_place_is_not_brought_indoors():
    assert admitted("lake, drawing, mountains", "two dogs on a sofa") == ["drawing"]
    assert admitted("forest, soft light", "a fox") == ["forest", "soft light"]
    assert admitted("forest, soft light", "a fox on a bed") == ["soft light"]
    assert admitted("lush vegetation, trees, soft light", "a photo of a sink") == ["soft light"]
    assert admitted("sea, soft light", "mountains behind a bedroom window") == [
        "sea",
        "soft light",
    ]


def test_plants_grow_only_where_they_can():
    tail = "lush vegetation, trees, flowers, soft light"
    assert admitted("lush, soft light", "a man slides into a base") == ["soft light"]
    assert admitted(tail, "some cars on a ferry on a body of water") == ["soft light"]
    assert admitted(tail, "a plane parked on a tarmac") == ["soft light"]
    assert admitted(tail, "a castle on a hill") == tail.split(", ")
    assert admitted("grass, soft light", "a zebra") == ["grass", "soft light"]
    assert admitted("jungle, trees", "a bench next to flowers") == ["trees"]
    assert admitted("jungle, trees", "ruins of a temple") == ["jungle", "trees"]


def test_a_body_of_water_is_nobody():
    assert admitted("long hair, soft light", "boats on a body of water") == ["soft light"]
    assert admitted("long hair, soft light", "a nude body") == ["long hair", "soft light"]
    assert admitted("very attractive, soft light", "an umbrella") == ["soft light"]


def test_only_somebody_can_be_cute_or_fierce():
    tail = "super cute and adorable, ferocious, soft light"
    for raw in ("a cup of coffee", "a very old, sad wanderer", "a guy near a busy street"):
        assert admitted(tail, raw) == ["soft light"]
    for raw in ("a kitten", "a little girl", "a toy car", "a game character"):
        assert admitted(tail, raw) == tail.split(", ")
    assert admitted(tail, "a boy who became a vampire") == ["ferocious", "soft light"]
    assert admitted(tail, "a cute vampire girl") == ["ferocious", "soft light"]


def test_what_the_artist_said_is_not_contradicted():
    assert admitted("oil painting, sharp focus", "a photo of a dog") == ["sharp focus"]
    assert admitted("photorealistic, sharp focus", "a pencil sketch of a dog") == ["sharp focus"]
    assert admitted("sunny weather, wet asphalt", "a street in the rain") == ["wet asphalt"]
    assert admitted("vivid colors, high contrast", "a black and white photo") == ["high contrast"]
    assert admitted("vibrant, fog", "a black and white landscape photograph of a tree") == ["fog"]
    assert admitted("vibrant", "a photo of a black and white cat") == ["vibrant"]
    assert admitted("starry, mist", "a city at noon") == ["mist"]
    assert admitted("sunset, mist", "a girl in the rain") == ["mist"]
    assert admitted("octane render, mist", "a photo of a city") == ["mist"]
    assert admitted("short hair, mist", "a long-haired woman") == ["mist"]
    assert admitted("long hair, cute and short hair", "a girl") == ["long hair"]
    assert admitted("ultra-realistic, bold lines", "a comic about a pig") == ["bold lines"]
    assert admitted("digital art, photography", "a lighthouse") == ["digital art"]
    assert admitted("octane render, photorealistic", "a city") == [
        "octane render",
        "photorealistic",
    ]


def test_phrases_do_not_contradict_each_other():
    assert admitted("sunny weather, rain, mist", "a red bicycle on a street") == [
        "sunny weather",
        "mist",
    ]
    assert admitted("oil painting, dslr photo, impasto", "a dog") == ["oil painting", "impasto"]


def test_who_asks_for_both_gets_both():
    assert admitted("sunlit rain", "sun and rain over a field") == []  # says nothing new
    assert admitted("sunshine, storm", "sun and rain over a field") == ["sunshine", "storm"]


def test_a_number_alone_is_no_phrase():
    assert admitted("24, 8k, 16:9, sharp focus", "a cat") == ["8k", "sharp focus"]
